"""Rollouts: dead steps, the value of a final state, pieces that fit together, episodes that end at once."""

import gymnasium
import numpy as np
import pytest
import torch

from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import advantages, by_learner, collect, examine, fresh_start
from llmrl.rl.crowd import Crowd
from llmrl.rl.mdp import MDP, absorbing
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles
from llmrl.toy.environments import random_walk


def corridor(n=3):
    """n states in a row and an end; every action leads on and pays 1."""
    P = np.zeros((n + 1, 2, n + 1))
    P[np.arange(n), :, np.arange(1, n + 1)] = 1
    ends = np.arange(n + 1) == n
    return MDP.checked(*absorbing(P, np.ones_like(P), ends), 0, ends)


def tabular(mdp, values):
    """A critic that looks its values up, and an actor that tosses a coin."""
    network = ActorCritic(mdp.states, mdp.actions, ())
    with torch.no_grad():
        for p in network.parameters():
            p.zero_()
        network.value_head.weight[0, :, 0] = torch.as_tensor(values)
    return network


def played(mdp, values, steps, players=2, limit=None):
    crowd = Crowd(mdp, np.eye(mdp.states), players, limit)
    return collect(crowd, tabular(mdp, values), fresh_start(crowd, 0), steps, rng(0, "play"))


def test_the_step_after_an_end_is_dead_and_shows_the_final_state():
    found = played(corridor(), [10.0, 20.0, 30.0, 40.0], 6)
    assert found.terminated[:, 0].tolist() == [False, False, True, False, False, False]
    assert found.live[:, 0].tolist() == [True, True, True, False, True, True]
    assert found.rewards[:, 0].tolist() == [1, 1, 1, 0, 1, 1]
    assert found.values[:, 0].tolist() == [10, 20, 30, 40, 10, 20] and found.last_value.tolist() == [30, 30]
    assert found.finished == [(0, 3.0, 3), (1, 3.0, 3)]
    assert found.states.shape == (6, 2, 4) and found.logp.exp().allclose(torch.tensor(0.5))


def test_a_time_limit_is_bootstrapped_and_an_end_is_not():
    cut = played(corridor(), [10.0, 20.0, 30.0, 40.0], 4, limit=2)
    assert cut.truncated[:, 0].tolist() == [False, True, False, False] and not cut.terminated.any()
    adv, ret = advantages(cut, 0.5, 0.0)
    assert ret[:2, 0].tolist() == [1 + 0.5 * 20, 1 + 0.5 * 30]
    torch.testing.assert_close(adv, ret - cut.values)
    ended = played(corridor(2), [10.0, 20.0, 40.0], 4, limit=2)  # the end and the clock at once: it ended
    assert not ended.truncated.any() and advantages(ended, 0.5, 0.0)[1][1, 0] == 1


def test_pieces_are_the_whole():
    mdp = random_walk(5)
    values = np.linspace(-1, 1, 7)
    crowd, network = Crowd(mdp, np.eye(7), 3, limit=9), tabular(mdp, values)
    whole = collect(crowd, network, fresh_start(crowd, 3), 40, rng(0, "p"))
    crowd, generator = Crowd(mdp, np.eye(7), 3, limit=9), rng(0, "p")
    start, pieces = fresh_start(crowd, 3), []
    for steps in (1, 14, 25):
        pieces.append(collect(crowd, network, start, steps, generator))
        start = pieces[-1].last
    for name in ("states", "actions", "logp", "values", "rewards", "terminated", "truncated", "live"):
        assert torch.equal(torch.cat([getattr(piece, name) for piece in pieces]), getattr(whole, name)), name
    assert sum((piece.finished for piece in pieces), []) == whole.finished and whole.truncated.any()


def test_gae_of_a_rollout_with_the_true_values_has_mean_zero():
    mdp = random_walk(5, 0.0, 1.0)
    true = policy_evaluation(mdp.P, mdp.R, np.full((7, 2), 0.5), 1.0)
    for limit in (None, 4):
        found = played(mdp, true, 200, players=200, limit=limit)
        adv = advantages(found, 1.0, 0.9)[0][found.live]
        assert abs(adv.mean()) < 5 * adv.std() / 60  # neighbours in time are not independent


def test_episodes_that_end_at_once():
    found = played(corridor(1), [7.0, 9.0], 5)
    assert found.live[:, 0].tolist() == [True, False, True, False, True]
    adv, ret = advantages(found, 0.9, 0.9)
    assert (ret[found.live] == 1).all() and (adv[found.live] == -6).all() and len(found.finished) == 6


def test_learners_are_told_apart():
    numbers = torch.arange(12).view(2, 6)  # two steps of three learners with two environments each
    assert by_learner(numbers, 3).tolist() == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    generator = rng(0, "net")
    many = orthogonal_(ActorCritic(4, 2, (8,), learners=3, generator=generator), generator)
    envs = cart_poles(6)
    found = collect(envs, many, fresh_start(envs, 0), 5, generator)
    states = by_learner(found.states, 3)
    torch.testing.assert_close(by_learner(found.values, 3), many.value(states))
    torch.testing.assert_close(by_learner(found.logp, 3), many.policy(states).logp(by_learner(found.actions, 3)))


def test_an_examination_plays_the_most_likely_actions_once():
    network = tabular(random_walk(5, 0.0, 1.0), np.zeros(7))
    with torch.no_grad():
        network.policy_head.bias[0, 0, 1] = 0.1  # a little to the right is always to the right
    assert (examine(network, Crowd(random_walk(5, 0.0, 1.0), np.eye(7), 50), 0) == 1).all()


def test_environments_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="make_vec"):
        fresh_start(gymnasium.make("CartPole-v1"), 0)
    same = gymnasium.vector.AutoresetMode.SAME_STEP
    envs = gymnasium.make_vec("CartPole-v1", 2, "sync", vector_kwargs={"autoreset_mode": same})
    with pytest.raises(ValueError, match="NEXT_STEP"):
        fresh_start(envs, 0)
    envs = cart_poles(2)
    with pytest.raises(ValueError, match="1 step or more"):
        collect(envs, ActorCritic(4, 2), fresh_start(envs, 0), 0, rng(0))
