"""Rules of play: each score against its definition, each lottery against its exact chances."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.arm_scores import (
    best_so_far,
    beta_posterior,
    boltzmann,
    epsilon_at,
    epsilon_greedy,
    kl_ucb,
    optimistic,
    thompson,
    ucb1,
    upper,
    with_pending,
)  # fmt: skip
from llmrl.rl.bandits import History, bernoulli_kl, highest
from llmrl.seeds import numpy_rng

MANY = 40_000
counts = st.lists(st.tuples(st.integers(0, 200), st.floats(0, 1)), min_size=2, max_size=5)


def history(pulls, sums, t=20, chosen=None, seeds=1):
    pulls, sums = np.tile(np.array(pulls, float), (seeds, 1)), np.tile(np.array(sums, float), (seeds, 1))
    return History(pulls, sums, pulls if chosen is None else np.tile(np.array(chosen, float), (seeds, 1)), t)


def shares(rule, pulls, sums, t=20):
    """How often each arm is pulled by a rule in one situation."""
    random = numpy_rng(0, "shares")
    return np.bincount(highest(rule(history(pulls, sums, t, seeds=MANY), random), random), minlength=len(pulls)) / MANY


def test_greedy_tries_every_arm_first():
    assert best_so_far()(history([2, 0], [2, 0]), None).tolist() == [[1.0, np.inf]]
    assert best_so_far(start=0.3)(history([2, 0], [1, 0]), None).tolist() == [[0.5, 0.3]]


def test_an_optimistic_start_wears_off():
    scores = optimistic(1.0, weight=4)(history([0, 4, 396], [0, 0, 198]), None)[0]
    assert np.allclose(scores, [1.0, 0.5, 202 / 400])


def test_epsilon_greedy_has_the_chances_it_says():
    assert np.allclose(shares(epsilon_greedy(0.3), [4, 4, 4], [1, 3, 2]), [0.1, 0.8, 0.1], atol=0.01)
    assert np.allclose(shares(epsilon_greedy(lambda t: 6 / t), [4, 4, 4], [1, 3, 2]), [0.1, 0.8, 0.1], atol=0.01)


def test_epsilon_decays_so_that_blind_pulls_grow_like_the_logarithm():
    blind = epsilon_at(np.arange(1, 100_001), arms=10, gap=0.2, c=1.0)
    assert blind[0] == 1.0 and blind[-1] == pytest.approx(250 / 1e5)
    assert blind[999:9999].sum() == pytest.approx(250 * np.log(10), rel=0.01)
    assert blind[9999:].sum() == pytest.approx(250 * np.log(10), rel=0.01)


def test_ucb1_by_hand():
    found = ucb1(np.array([[4.0, 0.0, 1.0]]), np.array([[2.0, 0.0, 1.0]]), 5)
    assert np.allclose(found, [[0.5 + np.sqrt(2 * np.log(5) / 4), np.inf, 1 + np.sqrt(2 * np.log(5))]])


@given(counts, st.integers(1, 10_000))
def test_kl_ucb_is_the_largest_mean_the_data_allow(arms, t):
    pulls = np.array([n for n, _ in arms], float)
    sums = np.round(pulls * np.array([mean for _, mean in arms]))
    found, seen = kl_ucb(pulls, sums, t), pulls > 0
    assert np.isinf(found[~seen]).all()
    mean, q, allowed = sums[seen] / pulls[seen], found[seen], np.log(t) / pulls[seen]
    assert (q >= mean - 1e-9).all() and (q <= 1).all()
    low, high = mean.copy(), np.ones_like(mean)  # the slow way: halve an interval sixty times
    for _ in range(60):
        middle = (low + high) / 2
        inside = bernoulli_kl(mean, middle) <= allowed
        low, high = np.where(inside, middle, low), np.where(inside, high, middle)
    assert np.allclose(q, low, atol=1e-5)
    assert (q <= ucb1(pulls, sums, t, width=0.5)[seen] + 1e-9).all()  # Pinsker


def test_counting_pending_pulls_lowers_the_bound_and_keeps_the_mean():
    some = history([4, 4, 0], [2, 2, 0], chosen=[4, 40, 3])
    seen, all_made = upper(ucb1)(some, None)[0], upper(ucb1, count_pending=True)(some, None)[0]
    assert seen[0] == seen[1] == all_made[0] and np.isinf(all_made[2])
    assert all_made[1] == pytest.approx(0.5 + np.sqrt(2 * np.log(20) / 40))
    counts, sums = with_pending(some.pulls, some.sums, some.chosen)
    assert counts.tolist() == [[4, 40, 0]] and sums.tolist() == [[2, 20, 0]]


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_belief_is_bayes_rule(successes, failures):
    a, b = beta_posterior(np.array([float(successes + failures)]), np.array([float(successes)]))
    grid = (np.arange(4000) + 0.5) / 4000
    weight = grid**successes * (1 - grid) ** failures
    weight /= weight.sum()
    mean = (weight * grid).sum()
    assert a / (a + b) == pytest.approx(mean, abs=1e-5)
    assert a * b / ((a + b) ** 2 * (a + b + 1)) == pytest.approx((weight * (grid - mean) ** 2).sum(), abs=1e-5)


def test_thompson_pulls_an_arm_with_its_chance_to_be_best():
    grid = (np.arange(2000) + 0.5) / 2000
    first, second = grid**2 * (1 - grid) ** 3, grid**1 * (1 - grid) ** 1  # 2 of 5, and 1 of 2
    first, second = first / first.sum(), second / second.sum()
    best = (first * (second.cumsum() - second / 2)).sum()
    assert np.allclose(shares(thompson(), [5, 2], [2, 1]), [best, 1 - best], atol=0.012)


def test_gaussian_thompson_draws_around_the_mean():
    draws = thompson(sd=2.0)(history([16, 4, 0], [8, 12, 0], seeds=MANY), numpy_rng(0, "gauss"))
    assert np.allclose(draws[:, :2].mean(0), [0.5, 3.0], atol=0.03)
    assert np.allclose(draws[:, :2].std(0), [0.5, 1.0], rtol=0.03) and np.isinf(draws[:, 2]).all()


def test_boltzmann_is_a_draw_from_the_softmax():
    means = np.array([0.1, 0.5, 0.4])
    wanted = np.exp(means / 0.2) / np.exp(means / 0.2).sum()
    assert np.allclose(shares(boltzmann(0.2), [10, 10, 10], means * 10), wanted, atol=0.012)
    assert np.allclose(shares(boltzmann(lambda t: 4 / t), [10, 10, 10], means * 10), wanted, atol=0.012)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: ucb1(np.array([-1.0, 2.0]), np.array([0.0, 1.0]), 3), "counts of zero or more"),
        (lambda: kl_ucb(np.array([1.0]), np.array([0.0]), 0), "t counts from 1"),
        (lambda: beta_posterior(np.array([-2.0]), np.array([0.0])), "counts of zero or more"),
        (lambda: beta_posterior(np.array([2.0]), np.array([3.0])), "between 0 and the number of pulls"),
        (lambda: epsilon_at(0, 2, 0.1, 1), "t counts from 1"),
        (lambda: epsilon_at(3, 2, 0.0, 1), "gap is above 0"),
        (lambda: epsilon_greedy(1.5)(history([1, 1], [0, 1]), numpy_rng(0, "e")), "a chance between 0 and 1"),
        (lambda: boltzmann(0.0)(history([1, 1], [0, 1]), numpy_rng(0, "b")), "temperature must be above zero"),
        (lambda: optimistic(1.0, weight=0), "weight above zero"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
