"""DQN against plain formulas, its stack of learners against each alone, and what it learns against exact values."""

import copy
from dataclasses import replace
from functools import partial

import gymnasium
import numpy as np
import pytest
import torch

from llmrl.rl import dqn
from llmrl.rl.crowd import Crowd
from llmrl.rl.mdp import MDP
from llmrl.rl.planning import q_from_v, value_iteration
from llmrl.rl.q_networks import QNetwork, alone
from llmrl.rl.replay import Batch, Replay
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.environments import gridworld

ONE = MDP.checked([[[1.0]]], [[1.0]], 0)  # one state, one action, reward 1 for ever


def batch(learners=2, size=6, width=3, actions=4):
    draw = lambda name, *shape: torch.randn(learners, size, *shape, generator=rng(0, name))  # noqa: E731
    ends = torch.arange(size) % 3 == 0, torch.arange(size) % 3 == 1
    terminated, truncated = (end.float().expand(learners, -1) for end in ends)
    chosen = torch.randint(actions, (learners, size), generator=rng(0, "a"))
    return Batch(draw("s", width), chosen, draw("r"), draw("n", width), terminated, truncated)


def networks(learners=2, sizes=(3, 8, 4)):
    return QNetwork(sizes, learners, rng(0, "online")), QNetwork(sizes, learners, rng(0, "frozen"))


@pytest.mark.parametrize("double", [False, True])
def test_the_loss_one_transition_at_a_time(double):
    (online, frozen), some = networks(), batch()
    found = dqn.td_loss(online, frozen, some, gamma=0.9, double=double)
    for n, b in np.ndindex(2, 6):
        after = frozen(some.next_states)[n, b]
        best = online(some.next_states)[n, b].argmax() if double else after.argmax()
        nothing_follows = b % 3 == 0  # terminated; b % 3 == 1 was truncated and goes on
        target = some.rewards[n, b] + (0 if nothing_follows else 0.9 * after[best])
        error = (online(some.states)[n, b, some.actions[n, b]] - target).abs()
        wanted = 0.5 * error**2 if error < 1 else error - 0.5
        torch.testing.assert_close(found[n, b], wanted)


def test_the_target_passes_no_gradient():
    (online, frozen), some = networks(), batch()
    dqn.td_loss(online, frozen, some, double=True).sum().backward()
    assert all(p.grad is None for p in frozen.parameters())
    only_target = replace(some, states=torch.zeros_like(some.states))
    before = copy.deepcopy([p.grad for p in online.parameters()])
    online.zero_grad()
    dqn.td_loss(online, frozen, only_target, double=True).sum().backward()
    assert not online.layers[0].weight.grad.any() and before[0].any()  # no input, no gradient in the first layer


def test_gradients_are_clipped_for_each_learner_alone():
    online, _ = networks(3)
    for k, p in enumerate(online.parameters()):
        p.grad = torch.randn(p.shape, generator=rng(k, "grad")) * torch.tensor([0.01, 1.0, 30.0]).view(3, 1, 1)
    singles = []
    for n in range(3):
        single = alone(online, n)
        for one, many in zip(single.parameters(), online.parameters()):
            one.grad = many.grad[n : n + 1].clone()
        singles.append((torch.nn.utils.clip_grad_norm_(single.parameters(), 2.0), single))
    lengths = dqn.clip_each(list(online.parameters()), 2.0)
    for n, (length, single) in enumerate(singles):
        torch.testing.assert_close(lengths[n], length)
        for one, many in zip(single.parameters(), online.parameters()):
            torch.testing.assert_close(one.grad[0], many.grad[n])


def test_learners_side_by_side_are_learners_alone():
    online, frozen = networks(3)
    some = batch(3)
    before = [alone(online, n) for n in range(3)]
    optimizer = torch.optim.Adam(online.parameters(), lr=0.01, fused=True)
    dqn.gradient_step(online, dqn.td_loss(online, frozen, some), optimizer, 0.5)
    for n, single in enumerate(before):
        own = Batch(*(field[n : n + 1] for field in vars(some).values()))
        optimizer = torch.optim.Adam(single.parameters(), lr=0.01)
        dqn.td_loss(single, alone(frozen, n), own).mean().backward()
        torch.nn.utils.clip_grad_norm_(single.parameters(), 0.5)
        optimizer.step()
        for one, many in zip(single.parameters(), online.parameters()):
            torch.testing.assert_close(one[0], many[n])


def test_a_refreshment_copies_or_mixes():
    online, frozen = networks()
    old = [p.clone() for p in frozen.parameters()]
    dqn.refresh(frozen, online, 0.25)
    for was, now, new in zip(old, frozen.parameters(), online.parameters()):
        torch.testing.assert_close(now, 0.75 * was + 0.25 * new)
    dqn.refresh(frozen, online)
    assert all(torch.equal(now, new) for now, new in zip(frozen.parameters(), online.parameters()))


def test_epsilon_falls_in_a_line_and_stays():
    epsilon = dqn.Exploration(1.0, 0.1, 90)
    assert [epsilon(t) for t in (0, 45, 90, 1000)] == pytest.approx([1.0, 0.55, 0.1, 0.1])


def test_exploration_is_epsilon_greedy():
    network, states = QNetwork((3, 4), 1, rng(0, "w")), np.ones((1, 3), np.float32)
    best = network(torch.ones(1, 1, 3)).argmax().item()
    random = numpy_rng(0, "explore")
    chosen = np.array([dqn.explore(network, states, 0.4, random)[0] for _ in range(2000)])
    share = np.bincount(chosen, minlength=4) / 2000
    wanted = np.full(4, 0.1)
    wanted[best] += 0.6
    assert np.abs(share - wanted).max() < 5 * (0.7 * 0.3 / 2000) ** 0.5


def learned(mdp, features, limit, config, loss=dqn.td_loss, learners=2):
    """Q (N, S, A) of a linear network with one feature per state, which is a table."""
    network = QNetwork((features.shape[1], mdp.actions), learners, rng(0, "table"))
    memory = Replay(5000, learners, features.shape[1])
    for _ in dqn.train(Crowd(mdp, features, learners, limit), network, memory, config, numpy_rng(0, "run"), loss):
        pass
    with torch.no_grad():
        return network(torch.from_numpy(features).expand(learners, -1, -1)).numpy()


FAST = dqn.Config(steps=350, lr=0.05, batch=32, warmup=50, epsilon=dqn.Exploration(1.0, 1.0, 1), sync=1, tau=0.4)
PLAIN = partial(dqn.td_loss, gamma=0.9, error=dqn.half_square)


def mistaken(loss):
    """The same loss, told that a truncated episode had ended."""
    return lambda network, frozen, some: loss(
        network, frozen, replace(some, terminated=(some.terminated + some.truncated).clamp(max=1))
    )


def test_a_time_limit_bootstraps_and_a_mistaken_end_costs_what_the_equation_says():
    seen = np.ones((1, 1), np.float32)
    assert learned(ONE, seen, 10, FAST, PLAIN) == pytest.approx(10, abs=0.1)  # 1 / (1 - 0.9)
    assert learned(ONE, seen, 10, FAST, mistaken(PLAIN)) == pytest.approx(1 / (1 - 0.9 * 0.9), abs=0.4)


@pytest.mark.slow
def test_hubers_loss_lets_a_rare_surprise_count_for_less():
    """Slopes balance there: nine of 1 + (0.9 - 1) v against one that is cut to 1, so v = 10 (1 - 1/9)."""
    huber = partial(dqn.td_loss, gamma=0.9)
    found = learned(ONE, np.ones((1, 1), np.float32), 10, FAST, mistaken(huber))
    assert found == pytest.approx(10 * (1 - 1 / 9), abs=0.4)


@pytest.mark.slow
def test_a_table_learns_the_values_of_a_grid():
    grid = gridworld(("S.", ".G"))
    config = replace(FAST, steps=1500, lr=0.02)
    found = learned(grid, np.eye(grid.states, dtype=np.float32), 20, config, PLAIN)
    wanted = q_from_v(grid.P, grid.R, value_iteration(grid.P, grid.R, 0.9)[0], 0.9)
    assert np.abs(found - wanted)[:, ~grid.terminal].max() < 0.05


def test_the_record_holds_what_happened():
    network, memory = QNetwork((4, 8, 2), 3, rng(0, "w")), Replay(500, 3, 4)
    envs = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point")
    config = dqn.Config(steps=200, warmup=40, every=10, updates=2, epsilon=dqn.Exploration(1, 0, 100))
    records = list(dqn.train(envs, network, memory, config, numpy_rng(0, "run")))
    assert [record["step"] for record in records] == list(range(50, 201, 10))
    finished = [item for record in records for item in record["finished"]]
    assert (memory.count < 200).all() and memory.count.sum() + len(finished) in range(597, 601)
    paid = sum(score for _, score in finished)
    assert finished and paid <= memory.count.sum()  # CartPole pays 1 per real step, 0 for starting anew
    assert all(record["loss"].shape == (3,) for record in records)


def test_runs_repeat():
    def run():
        network, memory = QNetwork((4, 8, 2), 2, rng(0, "w")), Replay(500, 2, 4)
        envs = gymnasium.make_vec("CartPole-v1", 2, vectorization_mode="vector_entry_point")
        config = dqn.Config(steps=60, warmup=20)
        return [record["loss"].tolist() for record in dqn.train(envs, network, memory, config, numpy_rng(0, "run"))]

    assert run() == run()


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"batch": -1}, {"every": 0}, {"sync": 0}, {"updates": 0}, {"tau": 0.0}, {"lr": -1.0}]
)
def test_dials_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        dqn.Config(**wrong)


@pytest.mark.parametrize("gamma", [1.0, -0.1, 1.5])
def test_gamma_has_to_be_below_one(gamma):
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\)"):
        dqn.td_loss(*networks(), batch(), gamma=gamma)


def vector(name, count=1, **more):
    return gymnasium.make_vec(name, count, vectorization_mode="sync", **more)


@pytest.mark.parametrize(
    ("envs", "says"),
    [
        (lambda: vector("Pendulum-v1"), "a state must be a list of 4 numbers"),
        (lambda: vector("FrozenLake-v1"), "a state must be a list of 4 numbers"),
        (lambda: vector("CartPole-v1", 3), "got 3 for 1 learners"),
        (lambda: gymnasium.make("CartPole-v1"), "a vector environment is needed"),
        (lambda: vector("CartPole-v1", vector_kwargs={"autoreset_mode": "SameStep"}), "NEXT_STEP"),
    ],
    ids=["continuous", "numbered", "too many", "single", "same step"],
)
def test_environments_that_do_not_fit_are_refused(envs, says):
    with pytest.raises(ValueError, match=says):
        next(dqn.train(envs(), QNetwork((4, 8, 2)), Replay(100, 1, 4), dqn.Config(), numpy_rng(0, "run")))


def test_networks_and_memories_that_do_not_fit_are_refused():
    random, config, envs = numpy_rng(0, "run"), dqn.Config(), vector("CartPole-v1")
    with pytest.raises(ValueError, match="the memory is for"):
        next(dqn.train(envs, QNetwork((4, 8, 2)), Replay(100, 2, 4), config, random))
    with pytest.raises(ValueError, match="rates 3 actions, the environment has 2"):
        next(dqn.train(envs, QNetwork((4, 8, 3)), Replay(100, 1, 4), config, random))
    with pytest.raises(ValueError, match="actions must be a few to choose from"):
        next(dqn.train(vector("Pendulum-v1"), QNetwork((3, 8, 2)), Replay(100, 1, 3), config, random))
