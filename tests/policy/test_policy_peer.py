"""stable-baselines3 on the same weights and steps: its buffer, a rollout of its own, an update."""

import pytest
import torch

from llmrl.policy import peer
from llmrl.policy.actor_critic import Config, gradient, rmsprop
from llmrl.policy.advantages import bootstrapped, gae
from llmrl.policy.heads import Gaussian
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import advantages, collect, fresh_start
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_pole, cart_poles

pytestmark = pytest.mark.slow
CONFIG = Config(steps=40, lam=0.9, entropy_weight=0.01)


def carts(count=4):
    from stable_baselines3.common.vec_env import DummyVecEnv

    return DummyVecEnv([lambda: cart_pole(limit=12, scale=None)] * count)


def test_its_buffer_agrees_on_a_rollout_of_ours():
    network = orthogonal_(ActorCritic(4, 2, generator=rng(0, "n")), rng(0, "o"))
    envs = cart_poles(4, limit=12, scale=None)
    found = collect(envs, network, fresh_start(envs, 0), 60, rng(0, "p"))
    assert found.terminated.any() and found.truncated.any()
    rewards = bootstrapped(found.rewards, found.truncated, found.next_values, 0.99)
    theirs = peer.their_buffer(rewards, found.values, found.last_value, found.done, 0.99, 0.9)
    for ours, other in zip(advantages(found, 0.99, 0.9), theirs):
        torch.testing.assert_close(ours, other, atol=1e-5, rtol=1e-6)


def test_our_gae_agrees_on_a_rollout_of_theirs():
    model = peer.their_a2c(carts(), CONFIG, 0)
    rewards, final_values, terminated, truncated = peer.their_rollout(model)
    assert terminated.any() and truncated.any() and not (terminated & truncated).any()
    buffer = model.rollout_buffer
    values, last = torch.from_numpy(buffer.values), model.policy.predict_values(torch.as_tensor(model._last_obs))
    paid = bootstrapped(rewards, truncated, final_values, 0.99)
    ours = gae(paid, values, last.detach().flatten(), terminated | truncated, 0.99, 0.9)
    torch.testing.assert_close(ours, torch.from_numpy(buffer.advantages), atol=1e-5, rtol=1e-6)


def test_weights_go_both_ways():
    model = peer.their_a2c(carts(1), CONFIG, 0)
    states, actions = torch.randn(9, 4, generator=rng(0, "s")), torch.arange(9) % 2
    network = orthogonal_(ActorCritic(4, 2, generator=rng(0, "n")), rng(0, "o"))
    peer.to_sb3(network, model.policy)
    for ours in (network, peer.from_sb3(model.policy)):
        dist, values = ours(states)
        theirs, logp, entropy = model.policy.evaluate_actions(states, actions)
        for a, b in ((values, theirs[:, 0]), (dist.logp(actions), logp), (dist.entropy(), entropy)):
            torch.testing.assert_close(a, b)
    with pytest.raises(ValueError, match="separate trunks"):
        peer.to_sb3(ActorCritic(4, 2, shared=True), model.policy)


def test_gaussian_weights_too():
    from stable_baselines3 import A2C

    model = A2C("MlpPolicy", "Pendulum-v1", device="cpu", seed=0)
    network = peer.from_sb3(model.policy)
    states, actions = torch.randn(9, 3, generator=rng(0, "s")), torch.randn(9, 1, generator=rng(0, "a"))
    assert network.head is Gaussian
    values, logp, entropy = model.policy.evaluate_actions(states, actions)
    dist, ours = network(states)
    for a, b in ((ours, values[:, 0]), (dist.logp(actions), logp), (dist.entropy(), entropy)):
        torch.testing.assert_close(a, b)


def test_one_update_is_theirs():
    model = peer.their_a2c(carts(), CONFIG, 0)
    network, envs = peer.from_sb3(model.policy), cart_poles(4, limit=12, scale=None)
    found = collect(envs, network, fresh_start(envs, 0), CONFIG.steps, rng(0, "p"))
    assert not found.live.all()
    adv, ret = advantages(found, CONFIG.gamma, CONFIG.lam)
    optimizer = rmsprop(network, CONFIG.lr)
    gradient(network, found, CONFIG)
    optimizer.step()
    peer.their_update(model, *(part[found.live] for part in (found.states, found.actions, adv, ret)))
    for ours, theirs in zip(network.parameters(), peer.from_sb3(model.policy).parameters()):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
