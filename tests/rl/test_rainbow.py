"""The agent's losses against plain formulas, its memory against what it promises, and every part left out."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from llmrl.rl import dqn
from llmrl.rl.crowd import Crowd
from llmrl.rl.distributional import c51_project
from llmrl.rl.n_step import Folded
from llmrl.rl.rainbow import DQN, Parts, RainbowNetwork, SurprisingWindows, greedy_actions, memory_for, rainbow_loss
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.environments import sparse_chain

SUPPORT = torch.linspace(-1, 1, 5)


def network(parts, seed=0, learners=2):
    return RainbowNetwork(parts, (3, 8, 4), SUPPORT, learners, rng(seed, "net"))


def batch(size=6):
    draw = lambda name, *shape: torch.randn(2, size, *shape, generator=rng(0, name))  # noqa: E731
    discount = torch.where(draw("d") > 0, 0.729, 0.0)
    actions = torch.randint(4, (2, size), generator=rng(0, "a"))
    places = np.tile(np.arange(size), (2, 1))
    return Folded(draw("s", 3), actions, draw("r") / 3, discount, draw("n", 3), places, torch.rand(2, size))


def test_all_parts_left_out_is_dqns_loss():
    online, frozen, windows = network(DQN), network(DQN, 1), batch()
    found = rainbow_loss(DQN, None, None)(online, frozen, windows)
    q = online(windows.states).gather(-1, windows.actions[..., None])[..., 0]
    target = windows.returns + windows.discount * frozen(windows.next_states).amax(-1)
    wanted = torch.nn.functional.smooth_l1_loss(q, target, reduction="none") * windows.weights
    torch.testing.assert_close(found, wanted)


def test_double_lets_the_one_choose_and_the_other_rate():
    parts = Parts(prioritised=False, dueling=False, distributional=False, noisy=False)
    online, frozen, windows = network(parts), network(parts, 1), batch()
    best = online(windows.next_states).argmax(-1, keepdim=True)
    target = windows.returns + windows.discount * frozen(windows.next_states).gather(-1, best)[..., 0]
    q = online(windows.states).gather(-1, windows.actions[..., None])[..., 0]
    wanted = torch.nn.functional.smooth_l1_loss(q, target, reduction="none") * windows.weights
    torch.testing.assert_close(rainbow_loss(parts, None, None)(online, frozen, windows), wanted)


def test_the_distributional_loss_is_cross_entropy_to_the_projection_one_by_one():
    parts = Parts(prioritised=False, dueling=False, double=False, noisy=False)
    online, frozen, windows = network(parts), network(parts, 1), batch()
    found = rainbow_loss(parts, None, None)(online, frozen, windows)
    after, here = frozen.numbers(windows.next_states).softmax(-1), online.numbers(windows.states).log_softmax(-1)
    for k, b in np.ndindex(2, 6):
        best = (after[k, b] * SUPPORT).sum(-1).argmax()
        target = c51_project(after[k, b, best], windows.returns[k, b], windows.discount[k, b], SUPPORT)
        wanted = -(target * here[k, b, windows.actions[k, b]]).sum() * windows.weights[k, b]
        assert found[k, b].item() == pytest.approx(wanted.item(), abs=1e-5)


def test_surprise_is_zero_where_the_prediction_is_the_target():
    parts = Parts(double=False, dueling=False, noisy=False)
    online, windows = network(parts), batch()
    still = Folded(**{**vars(windows), "returns": torch.zeros(2, 6), "discount": torch.ones(2, 6)})
    still = Folded(**{**vars(still), "states": windows.next_states, "actions": online(windows.next_states).argmax(-1)})
    memory = SurprisingWindows(8, 2, 3, 1, 0.9)
    rainbow_loss(parts, memory, None)(online, online, still)
    np.testing.assert_allclose(memory.tree.priorities(still.places), 0.01**0.5, rtol=1e-3)


def stored(n, capacity, steps):
    memory = SurprisingWindows(capacity, 2, 1, n, 0.5)
    for t in range(steps):
        here, nothing = np.full((2, 1), t), np.zeros(2)
        memory.add(here, nothing, np.full(2, t), here + 1, (nothing, nothing))
    return memory


@pytest.mark.parametrize(("n", "steps"), [(1, 5), (3, 5), (3, 8), (3, 11), (3, 30)])
def test_every_full_window_can_be_drawn_and_no_other(n, steps):
    memory = stored(n, 8, steps)
    drawn = memory.sample(400, numpy_rng(0, "draws"))
    oldest = max(0, steps - 8)
    assert sorted(set(drawn.states[0, :, 0].tolist())) == list(range(oldest, steps - n + 1))
    torch.testing.assert_close(drawn.next_states, drawn.states + n)
    torch.testing.assert_close(drawn.weights, torch.ones_like(drawn.weights))


def test_rated_windows_are_drawn_as_often_as_rated_and_weighed_against_it():
    memory = stored(1, 4, 4)
    memory.alpha, memory.beta = 1.0, 1.0
    memory.rate(np.tile(np.arange(4), (2, 1)), np.tile([0.0, 1.0, 2.0, 6.98], (2, 1)))
    drawn = memory.sample(1000, numpy_rng(0, "rated"))
    counts = np.bincount(drawn.places[0], minlength=4)
    assert np.abs(counts - np.array([1, 101, 201, 699]) * 1000 / 1002).max() <= 2
    relative = drawn.weights[0, drawn.places[0] == 1][0] / drawn.weights[0, drawn.places[0] == 2][0]
    assert relative.item() == pytest.approx(2.01 / 1.01)


def test_a_learner_that_skips_a_step_keeps_its_windows():
    memory = stored(2, 8, 3)
    before = memory.tree.nodes[1].copy()
    nothing = np.zeros(2)
    memory.add(np.zeros((2, 1)), nothing, nothing, np.zeros((2, 1)), (nothing, nothing), keep=np.array([True, False]))
    assert (memory.tree.nodes[1] == before).all() and memory.tree.total()[0, 0] == 3.0


def learned(parts):
    """The greedy actions of three agents after a short life on a chain of two states."""
    mdp, features = sparse_chain(2), np.eye(3, dtype=np.float32)
    net = RainbowNetwork(parts, (3, 32, 2), torch.linspace(-0.1, 1.1, 13), 3, rng(0, "chain"))
    memory = memory_for(parts, 400, 3, 3, 0.5)
    loss = rainbow_loss(parts, memory, rng(0, "noise"))
    config = dqn.Config(steps=300, lr=1e-2, batch=16, warmup=50, every=2, sync=10, tau=1.0, epsilon=lambda step: 1.0)
    for _ in dqn.train(Crowd(mdp, features, 3, 30), net, memory, config, numpy_rng(0, "play"), loss):
        pass
    return greedy_actions(net, features)[:, :2]


def test_it_learns_a_short_chain():
    assert (learned(Parts()) == 1).all()


@pytest.mark.slow
def test_with_no_part_at_all_it_learns_too():
    assert (learned(DQN) == 1).all()


@pytest.mark.slow
@pytest.mark.parametrize("part", [field.name for field in fields(Parts)])
def test_it_learns_without_any_one_part(part):
    assert (learned(Parts().without(part)) == 1).all()


def test_without_names_one_part_and_n_falls_back_to_one_step():
    assert Parts().without("n").n == 1 and Parts().without("noisy") == Parts(noisy=False)
