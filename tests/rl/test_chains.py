"""The long run of a chain: against the average of many powers, the eigenvector, walkers and chains with a rhythm."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.chains import after_steps, period, shares, stationary, walk
from llmrl.seeds import numpy_rng

WEATHER = np.array([[0.8, 0.2, 0.0], [0.3, 0.4, 0.3], [0.1, 0.6, 0.3]])
RING = np.roll(np.eye(4), 1, 1)  # 0 to 1 to 2 to 3 to 0


def test_two_states_by_hand():
    assert stationary([[0.9, 0.1], [0.5, 0.5]]) == pytest.approx([5 / 6, 1 / 6])  # 0.1 mu_0 = 0.5 mu_1


@given(st.integers(1, 7), st.integers(0, 10**6))
def test_a_step_leaves_it_as_it_is_and_the_eigenvector_agrees(states, seed):
    P = numpy_rng(seed, "chain").dirichlet(np.ones(states), states)
    mu = stationary(P)
    assert mu @ P == pytest.approx(mu, abs=1e-10) and mu.sum() == pytest.approx(1) and (mu > 0).all()
    values, vectors = np.linalg.eig(P.T)
    vector = np.real(vectors[:, np.abs(values - 1).argmin()])
    assert mu == pytest.approx(vector / vector.sum(), abs=1e-8)
    assert after_steps(P, mu, 3) == pytest.approx(np.tile(mu, (4, 1)), abs=1e-10)


def test_a_rhythm_keeps_the_power_method_going_round_but_has_a_stationary_distribution():
    rounds = after_steps(RING, [1, 0, 0, 0], 40)
    assert period(RING) == 4 and (rounds[-1] == [1, 0, 0, 0]).all() and stationary(RING) == pytest.approx([0.25] * 4)
    assert rounds[:40].mean(0) == pytest.approx([0.25] * 4)
    assert period(WEATHER) == 1 and after_steps(WEATHER, [1, 0, 0], 60)[-1] == pytest.approx(stationary(WEATHER))
    assert period([[0, 1, 0], [0.5, 0, 0.5], [0, 1, 0]]) == 2


def test_states_on_the_way_get_nothing():
    assert stationary([[0.5, 0.5], [0.0, 1.0]]) == pytest.approx([0, 1], abs=1e-12)


def test_walkers_follow_the_chain():
    states = walk(WEATHER, np.zeros(20_000, int), 6, numpy_rng(0, "walk"))
    mean = after_steps(WEATHER, [1, 0, 0], 6)
    found = np.stack([(states == s).mean(1) for s in range(3)], 1)
    assert states.shape == (7, 20_000) and np.abs(found - mean).max() < 4.5 * 0.5 / 20_000**0.5
    assert shares(states, 3).shape == (20_000, 3) and shares(states, 3).sum(1) == pytest.approx(1)
    assert (walk(RING, np.array([0, 2]), 2, numpy_rng(0, "ring")) == [[0, 2], [1, 3], [2, 0]]).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: stationary([[0.5, 0.4], [0.5, 0.5]]), r"rows of P must sum to one, and P\[s\] at 0 sums to 0.9"),
        (lambda: stationary([[1.5, -0.5], [0.5, 0.5]]), "must not be negative, got -0.5"),
        (lambda: stationary([[1.0, 0.0]]), r"one row of next-state chances per state, \(S, S\), got \(1, 2\)"),
        (lambda: stationary(np.eye(2)), "2 parts without a way out"),
        (lambda: after_steps(WEATHER, [1, 1, 0], 2), "start must sum to one"),
        (lambda: after_steps(WEATHER, [1, 0, 0], -1), "steps must be 0 or more, got -1"),
        (lambda: walk(WEATHER, np.array([3]), 2, numpy_rng(0, "")), "begin must be .* states from 0 to 2"),
        (lambda: walk(WEATHER, np.array([0.0]), 2, numpy_rng(0, "")), "begin must be"),
        (lambda: period(np.eye(2)), "every state leads to every other"),
        (lambda: period([[0.5, 0.5], [0.0, 1.0]]), "every state leads to every other"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
