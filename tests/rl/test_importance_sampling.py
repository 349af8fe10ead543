"""Importance weights are checked by going through every episode of a small world."""

from itertools import product

import numpy as np
import pytest

from llmrl.rl.episodes import Episodes, play
from llmrl.rl.importance_sampling import effective_size, episode_weights, ordinary, weighted
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_walk

WALK = random_walk(3)
PI, B = np.tile([0.3, 0.7], (5, 1)), np.tile([0.6, 0.4], (5, 1))


def every_walk(steps):
    """Each sequence of so many actions as an episode, and how likely B is to take it."""
    actions = np.array(list(product((0, 1), repeat=steps))).T  # (T, N)
    states = np.full((steps + 1, actions.shape[1]), 2)
    rewards, live = np.zeros(actions.shape), np.zeros(actions.shape, bool)
    for t in range(steps):
        live[t] = ~WALK.terminal[states[t]]
        states[t + 1] = states[t] + live[t] * (2 * actions[t] - 1)
        rewards[t] = live[t] * WALK.R[states[t], actions[t], states[t + 1]]
    episodes = Episodes(states, actions, rewards, WALK.terminal[states[1:]], live)
    return episodes, np.where(actions == 1, 0.4, 0.6).prod(0)


def test_every_episode():
    """The mean weight is 1, and the weighted mean return is what the other policy earns in as many steps."""
    episodes, chance = every_walk(8)
    weights = episode_weights(episodes, PI, B)
    returns = episodes.rewards.sum(0)
    here, to = np.eye(5)[2], np.einsum("sa,sat->st", PI, WALK.P)
    pays, earned = np.einsum("sa,sat,sat->s", PI, WALK.P, WALK.R), 0.0
    for _ in range(8):
        earned, here = earned + here @ pays, here @ to
    assert abs(chance @ weights - 1) < 1e-12 and abs(chance @ (weights * returns) - earned) < 1e-12
    wrong = np.where(True, PI[episodes.states[:-1], episodes.actions] / 0.5, 1).prod(0)  # counts steps after the end
    assert abs(chance @ wrong - 1) > 0.01


def test_both_means_approach_the_truth():
    played = play(WALK, B, numpy_rng(0, "b"), 20_000, 60)
    weights, returns = episode_weights(played, PI, B), played.rewards.sum(0)
    exact = policy_evaluation(WALK.P, WALK.R, PI, 1.0)[2]
    spread = (weights * returns).std() / 20_000**0.5
    assert abs(ordinary(weights, returns) - exact) < 4 * spread and abs(weighted(weights, returns) - exact) < 8 * spread


def test_equal_policies_weigh_nothing():
    weights = episode_weights(play(WALK, B, numpy_rng(0, "e"), 50, 60), B, B)
    assert (weights == 1).all() and effective_size(weights) == 50
    assert np.isnan(weighted(np.zeros(3), np.ones(3))) and effective_size(np.zeros(3)) == 0
    assert weighted(np.array([1.0, 3.0]), np.array([2.0, 6.0])) == 5 and ordinary(np.array([1.0, 3.0]), 1.0) == 2


def test_what_was_never_done_cannot_be_weighed():
    with pytest.raises(ValueError, match="in state 0 it never takes action 1"):
        episode_weights(play(WALK, B, numpy_rng(0), 5, 9), PI, np.tile([1.0, 0.0], (5, 1)))
