"""The neural bandit: its regressions rebuilt exactly, its seeds apart, its repair of a wrong model."""

import numpy as np
import pytest

from llmrl.rl.contextual import LinUCB, meet, ring_world, solved_scores
from llmrl.rl.neural_bandit import NeuralLinear, Settings
from llmrl.seeds import numpy_rng, rng

SMALL = Settings(width=6, every=10, updates=5, batch=8)


def lived(changed=False, steps=23):
    """An agent of two seeds after some steps, and its log; `changed` alters what the first seed was paid."""
    agent, random = NeuralLinear(2, 2, 3, rng(0, "net"), SMALL), numpy_rng(0, "log")
    log = [(random.normal(size=(2, 3)), random.integers(2, size=2), random.normal(size=2)) for _ in range(steps)]
    for x, arms, rewards in log:
        agent.learn(x, arms, rewards + np.array([5.0, 0.0]) * changed)
    return agent, log


def test_rebuilt_regressions_are_those_of_all_steps_on_todays_features():
    agent, log = lived()
    phi = np.stack([agent.phi(x) for x, _, _ in log])  # (T, N, H); three steps came after the last training
    grams, b = np.zeros((2, 2, 6, 6)), np.zeros((2, 2, 6))
    for seed in range(2):
        for arm in range(2):
            mine = [t for t, (_, arms, _) in enumerate(log) if arms[seed] == arm]
            grams[seed, arm] = np.eye(6) + phi[mine, seed].T @ phi[mine, seed]
            b[seed, arm] = phi[mine, seed].T @ np.array([log[t][2][seed] for t in mine])
    x = np.array([[0.3, -0.2, 1.0], [1.0, 1.0, 0.0]])
    assert np.allclose(agent.scores(x), solved_scores(agent.phi(x), grams, b, SMALL.alpha), atol=1e-8)


def test_every_seed_has_a_network_of_its_own():
    (calm, _), (changed, _) = lived(), lived(changed=True)
    for one, other in zip(calm.weights, changed.weights):
        assert not one[0].equal(other[0]) and one[1].allclose(other[1], atol=1e-6)


def test_training_follows_the_arms_that_were_pulled():
    agent = NeuralLinear(1, 2, 2, rng(0, "net"), Settings(width=4, every=1000))
    before = [w.detach().clone() for w in agent.weights]
    agent.settings = Settings(width=4, every=5)
    for _ in range(5):
        agent.learn(np.array([[1.0, -1.0]]), np.array([1]), np.array([2.0]))
    assert agent.weights[2][0, :, 0].equal(before[2][0, :, 0])  # arm 0 was never pulled
    assert not agent.weights[2][0, :, 1].equal(before[2][0, :, 1])


@pytest.mark.slow
def test_learned_features_repair_what_a_linear_model_cannot_say():
    agents = {"linear": LinUCB(10, 2, 3, 0.3), "neural": NeuralLinear(10, 2, 3, rng(3, "net"))}
    lost = {name: meet(ring_world(), agent, 600, 10, numpy_rng(3, name))[1] for name, agent in agents.items()}
    assert lost["neural"][-1].mean() < lost["linear"][-1].mean() / 4
    late = {name: (curve[-1] - curve[-201]).mean() for name, curve in lost.items()}
    assert late["neural"] < late["linear"] / 10


@pytest.mark.parametrize("settings", [{"width": 0}, {"every": -1}, {"updates": 0}, {"lr": 0.0}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match="1 or more and lr is above 0"):
        Settings(**settings)
