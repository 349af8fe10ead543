"""REINFORCE: its loss against the exact gradient, its episodes, and learning on a tiny world."""

import numpy as np
import pytest
import torch

from llmrl.policy.heads import Softmax
from llmrl.policy.reinforce import Config, Played, distribution, play_episodes, reinforce, train
from llmrl.policy.score import policy_gradient, visits
from llmrl.rl.crowd import Crowd
from llmrl.rl.planning import policy_evaluation, q_from_v
from llmrl.rl.q_networks import QNetwork
from llmrl.rl.returns import returns
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles
from llmrl.toy.environments import random_walk


def test_the_losss_gradient_is_minus_the_policy_gradient():
    """On every path of a walk of one step, weighed by its chance, and by autograd."""
    logits = torch.tensor([0.4, -0.3], dtype=torch.float64, requires_grad=True)
    policy = logits.detach().softmax(-1)
    logp = Softmax(logits.expand(1, 2, 2)).logp(torch.tensor([[0, 1]]))  # (1, 2): both paths
    losses = reinforce(logp, torch.tensor([[-1.0, 2.0]], dtype=torch.float64), torch.ones(1, 2, dtype=torch.bool))
    (losses * policy).sum().backward()
    walk = random_walk(1, -1.0, 2.0)
    table = np.tile(policy.numpy(), (3, 1))
    q = q_from_v(walk.P, walk.R, policy_evaluation(walk.P, walk.R, table, 1.0), 1.0)
    np.testing.assert_allclose(-logits.grad, policy_gradient(visits(walk, table, 1.0), table, q)[1], atol=1e-12)


def test_a_loss_without_gradients_is_refused():
    with pytest.raises(ValueError, match="carries no gradient"):
        reinforce(torch.zeros(2, 1), torch.ones(2, 1), torch.ones(2, 1, dtype=torch.bool))


def test_no_gradient_flows_through_the_weights_and_none_from_dead_steps():
    logp = torch.zeros(2, 1, requires_grad=True)
    weights = torch.tensor([[1.0], [torch.nan]], requires_grad=True)
    loss = reinforce(logp, weights, torch.tensor([[True], [False]]))
    loss.sum().backward()
    assert weights.grad is None and logp.grad.tolist() == [[-1.0], [0.0]]


def network(sizes=(4, 8, 2), learners=2):
    return QNetwork(sizes, learners, rng(0, "weights"))


def test_an_episode_each_and_nothing_after_its_end():
    played = play_episodes(network(), cart_poles(6, limit=30), rng(0, "play"), 5)
    assert played.states.shape[1:] == (2, 3, 4) and played.live[0].all() and played.live.any((1, 2)).all()
    assert (played.live[1:] <= played.live[:-1]).all()
    assert (played.rewards.sum(0) == played.live.sum(0)).all()  # CartPole pays 1 for every step
    assert (played.rewards[~played.live] == 0).all()
    again = play_episodes(network(), cart_poles(6, limit=30), rng(0, "play"), 5)
    assert all(torch.equal(a, b) for a, b in zip(vars(played).values(), vars(again).values()))


def test_environments_are_shared_evenly():
    with pytest.raises(ValueError, match="5 environments cannot be shared evenly by 2 learners"):
        play_episodes(network(), cart_poles(5), rng(0, "play"), 5)


def test_a_world_that_ends_at_once_is_an_episode_of_one_step():
    walk = random_walk(1, 0.0, 1.0)
    net = QNetwork((3, 2), 2, rng(0, "weights"))
    *_, last = train(net, Crowd(walk, np.eye(3), 2 * 4), Config(updates=20, lr=0.3), rng(0, "run"))
    assert (last["steps"] == 20 * 4).all() and (last["returns"] == 1).all()


def test_the_log_probabilities_come_back_the_same():
    net = network()
    played = play_episodes(net, cart_poles(4, limit=20), rng(1, "play"), 1)
    dist = distribution(net, played.states)
    for t in (0, len(played.states) - 1):
        torch.testing.assert_close(dist.logits[t], net(played.states[t]))
    assert isinstance(played, Played) and dist.logp(played.actions).requires_grad


def test_learners_do_not_touch_each_other():
    """A learner's gradient does not depend on what its neighbour was paid."""
    net = network()
    played = play_episodes(net, cart_poles(4, limit=20), rng(1, "play"), 1)
    grads = []
    for factor in (1.0, 7.0):
        weights = returns(played.rewards, torch.zeros_like(played.live), 0.9)
        weights[:, 1] *= factor
        net.zero_grad()
        reinforce(distribution(net, played.states).logp(played.actions), weights, played.live).sum().backward()
        grads.append([p.grad.clone() for p in net.parameters()])
    assert all(torch.equal(a[0], b[0]) and not torch.equal(a[1], b[1]) for a, b in zip(*grads))


def test_a_walk_is_learned():
    walk = random_walk(3, 0.0, 1.0)
    net = QNetwork((5, 2), 3, rng(0, "weights"))
    envs = Crowd(walk, np.eye(5), 3 * 8, limit=50)
    records = list(train(net, envs, Config(updates=40, lr=0.1), rng(0, "run")))
    first, last = (records[i]["returns"].mean(1) for i in (0, -1))
    assert first.max() < 0.95 and last.min() == 1.0
    assert (records[-1]["steps"] > records[0]["steps"]).all() and records[-1]["update"] == 40
    best = QNetwork((5, 2), 1, rng(0, "weights"))
    mixed = list(
        train(best, Crowd(walk, np.eye(5), 8, 50), Config(40, 0.1, baseline=False, entropy=5.0), rng(0, "run"))
    )
    assert mixed[-1]["returns"].mean() < 1.0  # a large entropy bonus keeps it from making up its mind
