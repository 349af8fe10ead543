"""Trees against sweeps and against counting by hand; moments of targets against enumeration of all futures."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.backups import exhaustive, sweep_values, tree_size
from llmrl.rl.planning import policy_evaluation
from llmrl.rl.target_moments import n_step_moments
from llmrl.rl.td import n_step_returns
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp, random_walk

seeds, gammas = st.integers(0, 10_000), st.floats(0, 1)


def world(seed, states=3):
    random = numpy_rng(seed, "world")
    return random_mdp(states, 2, 2, random), random.dirichlet(np.ones(2), states), random.normal(size=states)


@settings(max_examples=15)
@given(seeds, st.integers(0, 4), gammas)
def test_a_tree_is_worth_what_as_many_sweeps_are(seed, depth, gamma):
    w, policy, _ = world(seed)
    values, read = sweep_values(w, policy, depth, gamma)
    assert read == depth * 3 * 2 * 2
    for s in range(3):
        value, read = exhaustive(w, policy, s, depth, gamma)
        assert value == pytest.approx(values[s], abs=1e-12)
        assert read == tree_size(w, policy, depth)[s] == sum(4**d for d in range(1, depth + 1))


def test_branches_stop_at_the_end_and_at_actions_never_taken():
    walk = random_walk(3)
    assert tree_size(walk, np.full((5, 2), 0.5), 3) == [0, 8, 10, 8, 0]  # 2 + 2 + 4 from the side, 2 + 4 + 4 inside
    assert tree_size(walk, np.ones(5, int), 10) == [0, 3, 2, 1, 0]  # always right: a path
    assert tree_size(walk, np.full((5, 2), 0.5), 0) == [0] * 5
    assert tree_size(walk, np.full((5, 2), 0.5), 400)[2] > 2**190  # counted exactly, far beyond what could be grown


def futures(w, policy, state, depth):
    """Every future of that many steps: its chance, rewards, states after each step, and where it terminated."""
    for choice in product(product(range(w.actions), range(w.states)), repeat=depth):
        chance, s, paid, seen = 1.0, state, [], []
        for a, after in choice:
            chance *= policy[s, a] * w.P[s, a, after]
            paid.append(w.R[s, a, after])
            s = after
            seen.append(s)
        if chance > 0:
            yield chance, np.array(paid), np.array(seen), w.terminal[seen]


@settings(max_examples=15)
@given(seeds, st.integers(1, 3), gammas)
def test_moments_are_those_of_all_futures(seed, n, gamma):
    w, policy, guess = world(seed)
    mean, variance = n_step_moments(w, policy, guess, n, gamma)
    found = [(c, n_step_returns(r, guess[s], t, n, gamma)[0]) for c, r, s, t in futures(w, policy, 0, n)]
    chances, values = np.array(found).T
    assert mean[0] == pytest.approx(chances @ values, abs=1e-10)
    assert variance[0] == pytest.approx(chances @ values**2 - (chances @ values) ** 2, abs=1e-9)


def test_ends_stop_a_target_too():
    walk, policy, guess = random_walk(3, -1.0, 2.0), np.full((5, 2), 0.5), np.array([0.0, 0.4, -1.0, 3.0, 0.0])
    for n in (1, 2, 4):
        mean, variance = n_step_moments(walk, policy, guess, n, 0.9)
        found = [(c, n_step_returns(r, guess[s], t, n, 0.9)[0]) for c, r, s, t in futures(walk, policy, 2, n)]
        chances, values = np.array(found).T
        assert mean[2] == pytest.approx(chances @ values)
        assert variance[2] == pytest.approx(chances @ values**2 - (chances @ values) ** 2)
    assert mean[0] == variance[0] == 0


@settings(max_examples=15)
@given(seeds, st.floats(0, 0.9))
def test_the_error_of_the_mean_is_the_guess_seen_from_n_steps_away(seed, gamma):
    w, policy, guess = world(seed)
    true, to = policy_evaluation(w.P, w.R, policy, gamma), np.einsum("sa,sat->st", policy, w.P)
    for n in (1, 3):
        mean, _ = n_step_moments(w, policy, guess, n, gamma)
        seen = gamma**n * np.linalg.matrix_power(to, n) @ (guess - true)
        np.testing.assert_allclose(mean - true, seen, atol=1e-10)


def test_bad_input_is_named():
    w, policy, guess = world(0)
    with pytest.raises(ValueError, match="depth must be"):
        exhaustive(w, policy, 0, -1, 0.9)
    with pytest.raises(ValueError, match="n must be"):
        n_step_moments(w, policy, guess, 0, 0.9)
    with pytest.raises(ValueError, match="one value per state"):
        n_step_moments(w, policy, guess[1:], 1, 0.9)
