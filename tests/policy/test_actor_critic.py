"""A2C: its losses and their gradients, learners alone and together, what it learns; the residual gradient; trunks."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from llmrl.policy import workers
from llmrl.policy.actor_critic import Config, a2c_loss, actor_loss, critic_loss, gradient, rmsprop, train
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.residual import least_residual, squared_td_error
from llmrl.policy.rollout import advantages, collect, examine, fresh_start
from llmrl.policy.score import visits
from llmrl.policy.trunks import pulls, reach
from llmrl.rl.crowd import Crowd
from llmrl.rl.mdp import MDP, absorbing
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles
from llmrl.toy.environments import gridworld, random_walk

GRID = gridworld(("S..", ".H.", "..G"), {"G": 3.0, "H": -2.0}, cost=0.1)


def crowd(players):
    return Crowd(GRID, np.eye(GRID.states), players, limit=20)


def test_who_gets_which_gradient():
    leaves = [torch.tensor([x, 2 * x], requires_grad=True) for x in (-0.5, 3.0, 0.6, 2.0, 1.0)]
    config = Config(value_weight=0.25, entropy_weight=0.1)
    loss = a2c_loss(*leaves, config)
    torch.testing.assert_close(loss, torch.tensor([0.5 * 2 + 0.25 * 4 - 0.06, 1 * 4 + 0.25 * 16 - 0.12]))
    loss.sum().backward()
    logp, values, entropy, adv, ret = leaves
    assert logp.grad.tolist() == [-2, -4] and values.grad.tolist() == [0.25 * 4, 0.25 * 8]
    torch.testing.assert_close(entropy.grad, torch.full((2,), -0.1))
    assert adv.grad is None and ret.grad is None


def test_an_update_by_hand():
    network = ActorCritic(9, 4, (8,), generator=rng(0, "net"))
    envs, config = crowd(3), Config(steps=12, lam=0.8, entropy_weight=0.01, clip=100.0)
    found = collect(envs, network, fresh_start(envs, 0), config.steps, rng(0, "play"))
    assert not found.live.all()
    adv, ret = advantages(found, config.gamma, config.lam)
    total = 0.0
    for t, n in found.live.nonzero().tolist():
        dist, value = network(found.states[t, n])
        total = total - dist.logp(found.actions[t, n]) * adv[t, n] + 0.5 * (value - ret[t, n]) ** 2
        total = total - 0.01 * dist.entropy()
    expected = torch.autograd.grad(total / found.live.sum(), list(network.parameters()))
    lost = gradient(network, found, config)
    for p, wanted in zip(network.parameters(), expected):
        torch.testing.assert_close(p.grad, wanted, atol=1e-6, rtol=1e-5)
    whole = lost["actor"] + 0.5 * lost["critic"] - 0.01 * lost["entropy"]
    torch.testing.assert_close(whole[0], (total / found.live.sum()).detach())


def test_learners_learn_as_if_alone():
    many = ActorCritic(9, 4, (8,), learners=2, generator=rng(0, "net"))
    envs, config = crowd(6), Config(steps=12)
    found = collect(envs, many, fresh_start(envs, 0), config.steps, rng(0, "play"))
    gradient(many, found, config)
    for k, half in enumerate((slice(0, 3), slice(3, 6))):
        one = ActorCritic(9, 4, (8,))
        with torch.no_grad():
            for own, all_ in zip(one.parameters(), many.parameters()):
                own.copy_(all_[k : k + 1])
        names = ("states", "actions", "logp", "values", "rewards", "terminated", "truncated", "live")
        part = replace(found, last_value=found.last_value[half], **{n: getattr(found, n)[:, half] for n in names})
        gradient(one, part, config)
        for own, all_ in zip(one.parameters(), many.parameters()):
            torch.testing.assert_close(own.grad[0], all_.grad[k])


@pytest.mark.slow
def test_it_learns_a_grid():
    generator = rng(0, "grid")
    network = orthogonal_(ActorCritic(9, 4, (16,), learners=3, generator=generator), generator)
    config = Config(updates=150, steps=8, lam=0.9, lr=1e-2, entropy_weight=0.01)
    records = list(train(crowd(24), network, config, generator))
    assert records[-1]["step"] == 150 * 8 * 24 and records[0]["critic"].shape == (3,)
    best = 3 - 4 * 0.1
    assert examine(network, crowd(30), 1).reshape(3, 10).mean(1) == pytest.approx(best)


def test_dials_that_make_no_sense_are_refused():
    for wrong in ({"steps": 0}, {"updates": 0}, {"lr": 0.0}, {"clip": -1.0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Config(**wrong)


def split(deterministic=False):
    """A leads to B or C with equal chances; B pays 1 at its end, C nothing (Sutton and Barto, example 11.2)."""
    P = np.zeros((4, 1, 4))
    P[0, 0, 1:3] = (1, 0) if deterministic else (0.5, 0.5)
    P[1, 0, 3] = P[2, 0, 3] = 1
    R = np.zeros_like(P)
    R[1] = 1
    ends = np.arange(4) == 3
    return MDP.checked(*absorbing(P, R, ends), 0, ends), np.ones((4, 1))


def test_residual_gradients_end_at_other_values():
    mdp, policy = split()
    np.testing.assert_allclose(least_residual(mdp, policy, 1.0, visits(mdp, policy, 1.0)), [0.5, 0.75, 0.25, 0])
    sure, policy = split(True)
    np.testing.assert_allclose(least_residual(sure, policy, 1.0, visits(sure, policy, 1.0))[:2], [1, 1])
    walk, right = random_walk(5), np.ones(7, int)
    true = policy_evaluation(walk.P, walk.R, right, 0.9)
    np.testing.assert_allclose(least_residual(walk, right, 0.9, np.ones(7)), true, atol=1e-12)


@pytest.mark.parametrize("residual", [False, True])
def test_descent_ends_where_the_exact_solution_says(residual):
    mdp, policy = split()
    values = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    s, after, pays = torch.tensor([0, 0, 1, 2]), torch.tensor([1, 2, 3, 3]), torch.tensor([0.0, 0, 1, 0])
    ended = (after == 3).double()
    optimizer = torch.optim.SGD([values], lr=0.2)
    for _ in range(500):
        optimizer.zero_grad()
        squared_td_error(values[s], pays, values[after], ended, 1.0, residual).sum().backward()
        optimizer.step()
    exact = least_residual(mdp, policy, 1.0, visits(mdp, policy, 1.0)) if residual else [0.5, 1.0, 0.0, 0.0]
    np.testing.assert_allclose(values.detach().numpy(), exact, atol=1e-6)


def test_pulls_are_what_backward_leaves_in_the_trunk():
    for shared in (False, True):
        network = ActorCritic(9, 4, (8,), shared=shared, learners=2, generator=rng(0, "net"))
        envs, config = crowd(4), Config(steps=10, clip=1e9)
        found = collect(envs, network, fresh_start(envs, 0), config.steps, rng(0, "play"))
        actor, critic = pulls(network, found, config)
        gradient(network, found, config)
        left = torch.cat([p.grad.flatten(1) for p in network.actor.parameters()], 1)
        torch.testing.assert_close(actor + critic, left, atol=1e-6, rtol=1e-5)
        assert bool(critic.any()) == shared


def test_separate_trunks_are_reached_by_their_own_loss_only():
    for shared in (False, True):
        network = ActorCritic(9, 4, (8,), shared=shared, generator=rng(0, "net"))
        envs, config = crowd(4), Config(steps=10)
        found = reach(network, collect(envs, network, fresh_start(envs, 0), 10, rng(0, "play")), config)
        actor, critic = ([length > 0 for length in lengths.values()] for lengths in found.values())
        assert actor == [True, shared, True, False] and critic == [shared, True, False, True]


def test_a_workers_step_is_rmsprops():
    network, local, expected = (ActorCritic(4, 2, (8,), generator=rng(0, "net")) for _ in range(3))
    squares = [torch.zeros_like(p) for p in local.parameters()]
    optimizer = rmsprop(expected, 1e-2)
    for n in range(3):
        for mine, theirs in zip(local.parameters(), expected.parameters()):
            mine.grad = torch.randn(mine.shape, generator=rng(0, "g", n))
            theirs.grad = mine.grad.clone()
        workers.apply(network, squares, local, 1e-2)
        optimizer.step()
    for mine, theirs in zip(network.parameters(), expected.parameters()):
        torch.testing.assert_close(mine, theirs)


def test_workers_need_one_learner():
    with pytest.raises(ValueError, match="1 learner"):
        workers.train(ActorCritic(4, 2, learners=2), partial(cart_poles, 2), Config(), 0)


@pytest.mark.slow
def test_two_processes_change_one_network():
    network = ActorCritic(4, 2, (8,), generator=rng(0, "net"))
    before = [p.clone() for p in network.parameters()]
    log = workers.train(network, partial(cart_poles, 2), Config(updates=150, steps=4), 0)
    assert log.written.flatten().sort().values.tolist() == list(range(1, 301))
    assert (log.staleness >= 0).all() and log.staleness.max() >= 1
    assert (log.written.diff() > 0).all() and (log.seconds.diff() > 0).all() and log.ended.sum() > 0
    assert all(not torch.equal(a, b) for a, b in zip(before, network.parameters()))


def test_losses_are_per_item():
    assert actor_loss(torch.zeros(2, 3), torch.ones(2, 3)).shape == (2, 3)
    assert critic_loss(torch.zeros(2, 3), torch.ones(2, 3)).shape == (2, 3)
