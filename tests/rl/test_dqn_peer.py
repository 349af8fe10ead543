"""One gradient step beside stable-baselines3's DQN: the same weights, the same batch, the same weights afterwards."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrl.rl import dqn, peer
from llmrl.rl.q_networks import QNetwork
from llmrl.rl.replay import Replay
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.cart_pole import cart_pole, cart_poles

pytestmark = pytest.mark.slow
SIZES = (4, 16, 16, 2)


def experience(size):
    """A batch from short episodes, so that both kinds of end are in it."""
    memory, random = Replay(1000, 1, 4), numpy_rng(0, "steps")
    envs, over = cart_poles(1, limit=20), np.array([False])
    states, _ = envs.reset(seed=0)
    while len(memory) < 1000:
        actions = random.integers(2, size=1)
        after, rewards, terminated, truncated, _ = envs.step(actions)
        memory.add(states, actions, rewards, after, (terminated, truncated), keep=~over)
        states, over = after, terminated | truncated
    batch = memory.sample(size, random)
    assert batch.terminated.sum() >= 3 and batch.truncated.sum() >= 3
    return batch


@pytest.mark.parametrize("clip", [10.0, 0.5])
def test_a_gradient_step_is_theirs(clip):
    config = dqn.Config(lr=1e-3, batch=256, clip=clip)
    network, frozen = (QNetwork(SIZES, 1, rng(0, name)) for name in ("online", "frozen"))
    model, batch = peer.their_dqn(cart_pole(), SIZES, config, 1000, seed=0), experience(256)
    peer.give_weights(network, model.q_net)
    peer.give_weights(frozen, model.q_net_target)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, fused=True)
    before = copy.deepcopy(network)
    for _ in range(3):
        peer.their_step(model, batch)
        dqn.gradient_step(network, dqn.td_loss(network, frozen, batch), optimizer, clip)
    theirs = peer.take_weights(model.q_net)
    for ours, other, start in zip(network.parameters(), theirs.parameters(), before.parameters()):
        torch.testing.assert_close(ours, other, atol=1e-5, rtol=0)
        assert (ours - start).abs().max() > 1e-3

    ended = replace(batch, terminated=batch.terminated + batch.truncated)
    wrong = dqn.td_loss(before, frozen, ended).mean()
    assert (wrong - dqn.td_loss(before, frozen, batch).mean()).abs() > 1e-4


def test_weights_go_there_and_back():
    network = QNetwork(SIZES, 1, rng(0, "w"))
    model = peer.their_dqn(cart_pole(), SIZES, dqn.Config(), 100, seed=0)
    peer.give_weights(network, model.q_net)
    states = torch.randn(1, 7, 4, generator=rng(0, "states"))
    torch.testing.assert_close(peer.take_weights(model.q_net)(states), network(states))
    torch.testing.assert_close(model.q_net(states[0]), network(states)[0])


def test_the_zoos_settings_are_theirs():
    model = peer.their_dqn(cart_pole(scale=None), peer.ZOO_SIZES, peer.ZOO, peer.ZOO_CAPACITY, seed=0)
    assert (model.learning_rate, model.batch_size, model.learning_starts) == (2.3e-3, 64, 1000)
    assert (model.train_freq.frequency, model.gradient_steps, model.gamma) == (256, 128, 0.99)
    assert model.exploration_fraction == pytest.approx(0.16) and model.exploration_final_eps == 0.04
