"""Bandits: the loop against enumeration of all that can happen, delays, regret, the Lai-Robbins constant."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.arm_scores import best_so_far, ucb1, upper
from llmrl.rl.bandits import Bandit, at_once, bernoulli_kl, highest, in_batches, lai_robbins, late, play, regret
from llmrl.seeds import numpy_rng

chance = st.floats(0.0, 1.0)


def exact_regret(means, index, steps, known):
    """The expected pseudo-regret of an index rule on 0/1 arms: all paths, each with its chance, ties shared evenly."""
    paths, lost, best = {(): 1.0}, 0.0, max(means)
    for t in range(1, steps + 1):
        after = {}
        for path, weight in paths.items():
            seen = path[: known(t)]
            pulls = np.array([[sum(a == arm for a, _ in seen) for arm in range(len(means))]], float)
            sums = np.array([[sum(r for a, r in seen if a == arm) for arm in range(len(means))]], float)
            scores = index(pulls, sums, t)[0]
            ties = np.flatnonzero(scores == scores.max())
            for arm in ties:
                lost += weight / len(ties) * (best - means[arm])
                for reward, p in ((1, means[arm]), (0, 1 - means[arm])):
                    step = path + ((arm, reward),)
                    after[step] = after.get(step, 0.0) + weight / len(ties) * p
        paths = after
    return lost


def mean_so_far(pulls, sums, t):
    return np.where(pulls > 0, sums / np.maximum(pulls, 1), np.inf)


@pytest.mark.parametrize("known", [at_once, late(2), in_batches(3)], ids=["at once", "late", "in batches"])
@pytest.mark.parametrize(("index", "rule"), [(mean_so_far, best_so_far()), (ucb1, upper(ucb1))], ids=["greedy", "ucb1"])
def test_the_loop_loses_what_enumeration_says(index, rule, known):
    means, steps, seeds = np.array([0.3, 0.7]), 6, 20_000
    plays = play(Bandit(means), rule, steps, seeds, numpy_rng(1, "loop"), known)
    lost = regret(means, plays.arms)[-1]
    error = lost.std() / seeds**0.5
    assert abs(lost.mean() - exact_regret(means, index, steps, known)) < 4.5 * error
    if known is not at_once:  # a loop that hands rewards over at once would be found out
        assert abs(lost.mean() - exact_regret(means, index, steps, at_once)) > 4.5 * error


@pytest.mark.parametrize(
    ("known", "counts"),
    [(at_once, [0, 1, 2, 3, 4, 5]), (late(0), [0, 1, 2, 3, 4, 5]), (late(2), [0, 0, 0, 1, 2, 3]),
     (in_batches(1), [0, 1, 2, 3, 4, 5]), (in_batches(3), [0, 0, 0, 3, 3, 3])],
)  # fmt: skip
def test_a_rule_sees_what_has_arrived_and_nothing_else(known, counts):
    seen, made = [], []

    def watch(history, random):
        seen.append(history.pulls.sum(1).tolist())
        made.append(history.chosen.sum(1).tolist())
        return random.random(history.pulls.shape)

    play(Bandit([0.5, 0.5, 0.5]), watch, 6, 2, numpy_rng(0, "watch"), known)
    assert [known(t) for t in range(1, 7)] == counts
    assert seen == [[n, n] for n in counts] and made == [[t, t] for t in range(6)]


def test_sums_belong_to_the_arm_that_earned_them():
    kept = {}

    def watch(history, random):
        kept.update(pulls=history.pulls.copy(), sums=history.sums.copy())
        return random.random(history.pulls.shape)

    plays = play(Bandit([0.2, 0.5, 0.9], sd=1.0), watch, 30, 4, numpy_rng(0, "sums"))
    for arm in range(3):
        mine = plays.arms[:-1] == arm
        assert np.array_equal(kept["pulls"][:, arm], mine.sum(0))
        assert np.allclose(kept["sums"][:, arm], (plays.rewards[:-1] * mine).sum(0))


def test_ties_are_broken_by_lot():
    counts = np.bincount(highest(np.tile([1.0, 3.0, 3.0, 3.0, -np.inf], (30_000, 1)), numpy_rng(0, "lot")), minlength=5)
    assert counts[0] == counts[4] == 0 and np.abs(counts[1:4] - 10_000).max() < 5 * 82
    assert set(highest(np.full((500, 2), np.inf), numpy_rng(0, "lot"))) == {0, 1}


def test_regret_adds_gaps_up_over_time():
    means = np.array([0.2, 0.9, 0.6])
    assert np.allclose(regret(means, np.array([[0, 2], [1, 2]])), [[0.7, 0.3], [0.7, 0.6]])
    assert np.allclose(Bandit(means).gaps, [0.7, 0.0, 0.3])


@given(chance, st.floats(1e-6, 1 - 1e-6))
def test_kl_is_that_of_torch(p, q):
    two = [torch.distributions.Bernoulli(torch.tensor(x, dtype=torch.float64)) for x in (p, q)]
    assert bernoulli_kl(p, q) == pytest.approx(torch.distributions.kl_divergence(*two).item(), abs=1e-9)


def test_kl_at_the_borders():
    found = bernoulli_kl([0.0, 1.0, 0.0, 1.0, 0.5, 0.5], [0.0, 1.0, 1.0, 0.0, 1.0, 0.0])
    assert found.tolist() == [0.0, 0.0, np.inf, np.inf, np.inf, np.inf]


def test_lai_robbins_by_hand():
    kl = 0.5 * np.log(0.5 / 0.6) + 0.5 * np.log(0.5 / 0.4)
    assert lai_robbins(Bandit([0.5, 0.6])) == pytest.approx(0.1 / kl)
    assert lai_robbins(Bandit([0.6, 0.5, 0.5, 0.6])) == pytest.approx(0.2 / kl)
    assert lai_robbins(Bandit([1.0, 1.5, 0.0], sd=2.0)) == pytest.approx(8 / 0.5 + 8 / 1.5)  # 2 sd² / gap
    assert lai_robbins(Bandit([0.5, 0.5])) == 0.0


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Bandit([0.5]), "two or more"),
        (lambda: Bandit([[0.5, 0.6]]), "two or more"),
        (lambda: Bandit([0.5, np.nan]), "finite"),
        (lambda: Bandit([0.5, 1.2]), "between 0 and 1"),
        (lambda: Bandit([0.5, 1.2], sd=0.0), "above zero"),
        (lambda: late(-1)(5), "delay must be a whole number of at least 0"),
        (lambda: in_batches(0)(5), "size must be a whole number of at least 1"),
        (lambda: play(Bandit([0.1, 0.2]), best_so_far(), -3, 2, None), "steps must be a whole number of at least 1"),
        (lambda: play(Bandit([0.1, 0.2]), best_so_far(), 3, 0, None), "seeds must be"),
        (lambda: play(Bandit([0.1, 0.2]), best_so_far(), 3.5, 1, None), "steps must be a whole number"),
        (lambda: bernoulli_kl(0.5, 1.5), "between 0 and 1"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
