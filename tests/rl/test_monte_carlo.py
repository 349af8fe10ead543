"""Monte Carlo against dictionaries and sums of returns, and the bias of every-visit against its exact value."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmrl.rl.episodes import play
from llmrl.rl.mdp import MDP
from llmrl.rl.monte_carlo import first_visits, monte_carlo
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_walk

EVEN = np.full((7, 2), 0.5)


def stay(chance):
    """One state that pays 1 per step and is kept with that chance; its value is 1 / (1 - chance)."""
    return MDP.checked([[[chance, 1 - chance]], [[0.0, 1.0]]], [[[1.0, 1.0]], [[0.0, 0.0]]], 0, [False, True])


@settings(max_examples=30)
@given(hnp.arrays(np.int64, hnp.array_shapes(min_dims=2, max_dims=2, max_side=8), elements=st.integers(0, 3)))
def test_first_visits_are_what_a_set_has_not_seen(states):
    want = np.array(
        [[states[t, n] not in set(states[:t, n]) for n in range(states.shape[1])] for t in range(len(states))]
    )
    np.testing.assert_array_equal(first_visits(states), want)


@pytest.mark.parametrize("every", [False, True])
def test_sums_and_counts_are_those_of_a_plain_loop(every):
    episodes = play(random_walk(5, 2.0, 1.0), EVEN, numpy_rng(1, "walk"), 20, 200)
    sums, counts = monte_carlo(episodes, 0.9, 7, every)
    for n in range(20):
        total, seen, ret = np.zeros(7), [[] for _ in range(7)], 0.0
        for t in reversed(range(int(episodes.live[:, n].sum()))):
            ret = episodes.rewards[t, n] + 0.9 * ret
            seen[episodes.states[t, n]].append(ret)
        for s in range(7):
            found = seen[s] if every else seen[s][-1:]  # collected from the end: the last one is the first visit
            total[s] = sum(found)
            assert counts[n, s] == len(found)
        np.testing.assert_allclose(sums[n], total, atol=1e-12)


def test_every_visit_is_biased_by_what_theory_says_and_first_visit_is_not():
    """Singh and Sutton 1996: the bias of one episode, here -p / (2 (1 - p)), times 2 / (n + 1)."""
    p, players = 0.8, 5_000
    episodes = play(stay(p), [0, 0], numpy_rng(0, "stay"), players * 4, 150)
    for every in (False, True):
        sums, counts = (x[:, 0].reshape(players, 4) for x in monte_carlo(episodes, 1.0, 2, every))
        for n in (1, 2, 4):
            means = sums[:, :n].sum(1) / counts[:, :n].sum(1)
            bias = -p / (2 * (1 - p)) * 2 / (n + 1) if every else 0.0
            assert abs(means.mean() - 1 / (1 - p) - bias) < 4 * means.std() / players**0.5


def test_it_finds_the_exact_values():
    walk = random_walk(5, 0.0, 1.0)
    episodes = play(walk, EVEN, numpy_rng(0, "walk"), 4000, 250)
    true = policy_evaluation(walk.P, walk.R, EVEN, 1.0)
    for every in (False, True):
        sums, counts = monte_carlo(episodes, 1.0, 7, every)
        np.testing.assert_allclose(sums.sum(0)[1:6] / counts.sum(0)[1:6], true[1:6], atol=0.06)
        assert counts[:, [0, 6]].sum() == 0


def test_bad_input_is_named():
    cut = play(random_walk(5), EVEN, numpy_rng(0, "walk"), 20, 4)
    with pytest.raises(ValueError, match="cut before they ended"):
        monte_carlo(cut, 1.0, 7)
    whole = play(random_walk(5), EVEN, numpy_rng(0, "walk"), 3, 200)
    with pytest.raises(ValueError, match="there are to be 2"):
        monte_carlo(whole, 1.0, 2)
    with pytest.raises(ValueError, match="gamma must lie"):
        monte_carlo(whole, 1.5, 7)
    with pytest.raises(ValueError, match="whole numbers"):
        first_visits(np.zeros((3, 2)))
    with pytest.raises(ValueError, match="count from 0"):
        first_visits(np.array([[-1]]))
