"""Closed forms, brute force over time, and temporal differences that settle where the equation says."""

import numpy as np
import pytest

from llmrl.rl.mdp import MDP
from llmrl.rl.planning import policy_evaluation
from llmrl.rl.time_limits import cut_share, limited_values
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import frozen_lake, random_mdp, two_state_loop

ONE = MDP.checked([[[1.0]]], [[1.0]], 0)  # one state, reward 1 for ever


@pytest.mark.parametrize("limit", [1, 20, 500])
def test_one_state_has_a_closed_form(limit):
    cut = cut_share(ONE, np.array([0]), limit)
    assert cut[0] == pytest.approx(1 / limit)
    assert limited_values(ONE, np.array([0]), 0.99, cut)[0] == pytest.approx(1 / (1 - 0.99 * (1 - 1 / limit)))


def test_nothing_cut_is_plain_policy_evaluation():
    mdp, policy = random_mdp(6, 2, 3, numpy_rng(0, "world")), np.full((6, 2), 0.5)
    wanted = policy_evaluation(mdp.P, mdp.R, policy, 0.9)
    np.testing.assert_allclose(limited_values(mdp, policy, 0.9, np.zeros(6)), wanted)


def test_the_share_is_counted_right():
    mdp, policy, limit = frozen_lake(), np.full((16, 4), 0.25), 7
    to = np.einsum("sa,sat->st", policy, mdp.P)
    chances = [mdp.start]
    for _ in range(limit - 1):
        chances.append(chances[-1] @ to)
    visits = np.sum(chances, 0)
    alive = ~mdp.terminal & (visits > 0)
    found = cut_share(mdp, policy, limit)
    np.testing.assert_allclose(found[alive], (chances[-1] / np.where(visits, visits, 1))[alive])
    assert not found[~alive].any()


def test_temporal_differences_settle_there():
    """TD(0) with a falling step on episodes of five steps from the loop of two states, both targets."""
    mdp, gamma, limit = two_state_loop(), 0.9, 5
    cut = cut_share(mdp, np.array([0, 0]), limit)
    for share, ended in ((cut, True), (np.zeros(2), False)):
        values = np.zeros(2)
        for episode in range(3000):
            for t in range(limit):  # 0, 1, 0, 1, 0: the clock stops in the first state, one visit in three
                s, after, reward = t % 2, (t + 1) % 2, 1.0 - t % 2
                goes_on = not (ended and t == limit - 1)
                values[s] += 10 / (episode + 20) * (reward + gamma * goes_on * values[after] - values[s])
        np.testing.assert_allclose(values, limited_values(mdp, np.array([0, 0]), gamma, share), atol=0.02)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="time limit must be 1 step or more, got 0"):
        cut_share(ONE, np.array([0]), 0)
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\), got 1.0"):
        limited_values(ONE, np.array([0]), 1.0, [0.0])
