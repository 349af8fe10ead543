"""Greedy episodes against a plain loop over single environments, discounted returns against sums, and the best kept."""

import gymnasium
import numpy as np
import pytest
import torch

from llmrl.rl.greedy_play import Best, examined, play, predicted_and_realised, steps
from llmrl.rl.q_networks import QNetwork, alone
from llmrl.seeds import numpy_rng, rng


def cart_poles(count, **more):
    return gymnasium.make_vec("CartPole-v1", count, vectorization_mode="vector_entry_point", **more)


def test_returns_are_those_of_single_environments():
    network, envs = QNetwork((4, 8, 2), 2, rng(0, "w")), cart_poles(6)
    found = play(network, envs, seed=3)
    begun, _ = cart_poles(6).reset(seed=3)
    single = gymnasium.make("CartPole-v1", max_episode_steps=500)
    for n, e in np.ndindex(2, 3):
        single.reset(seed=0)
        state = begun[3 * n + e]
        single.unwrapped.state, total, over = state.astype(float), 0.0, False
        while not over:
            with torch.no_grad():
                action = alone(network, n)(torch.from_numpy(state)[None, None]).argmax().item()
            state, reward, terminated, truncated, _ = single.step(action)
            total, over = total + reward, terminated or truncated
        assert found[n, e] == total
    assert found.shape == (2, 3)


def test_discounted_returns_are_sums():
    network, gamma = QNetwork((4, 8, 2), 2, rng(0, "w")), 0.9
    predicted, realised = predicted_and_realised(network, cart_poles(6), 3, gamma)
    played = list(steps(network, cart_poles(6), 3))
    for n, e in np.ndindex(2, 3):
        paid = [rewards[n, e] for _, rewards, alive in played if alive[n, e]]
        for t in range(len(paid)):
            assert realised[t, n, e] == pytest.approx(sum(gamma**k * r for k, r in enumerate(paid[t:])))
            assert predicted[t, n, e] == played[t][0][n, e].max()
        assert np.isnan(realised[len(paid) :, n, e]).all() and np.isnan(predicted[len(paid) :, n, e]).all()


def test_the_best_of_each_learner_is_kept():
    first, second = (QNetwork((4, 8, 2), 2, rng(seed, "w")) for seed in (0, 1))
    best = Best(first)
    best.update(first, np.array([10.0, 30.0]))
    best.update(second, np.array([20.0, 20.0]))
    states = torch.randn(2, 5, 4, generator=rng(0, "states"))
    assert torch.equal(best.network(states)[0], second(states)[0])
    assert torch.equal(best.network(states)[1], first(states)[1])
    assert best.score.tolist() == [20.0, 30.0]


def test_examinations_come_when_they_are_due():
    network, records = QNetwork((4, 8, 2), 1, rng(0, "w")), ({"step": step} for step in (90, 100, 110, 250, 251, 320))
    found = [
        (step, returns.shape) for step, returns, _ in examined(records, network, cart_poles(4), 100, numpy_rng(0, "e"))
    ]
    assert found == [(100, (1, 4)), (250, (1, 4)), (320, (1, 4))]
