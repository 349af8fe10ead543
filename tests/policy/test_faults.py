"""Each planted fault does what it says, and the dials that cannot lie show it."""

from dataclasses import replace

import pytest
import torch

from llmrl.policy import ppo
from llmrl.policy.faults import FAULTS, nearest, signature
from llmrl.policy.networks import ActorCritic
from llmrl.policy.rollout import collect, fresh_start
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles

CONFIG = ppo.Config(steps=512, horizon=32, batch=32, epochs=3, lr=1e-2)
CUTS = 12  # a time limit, so that the rollouts hold both kinds of end


def records(name):
    fault, model = FAULTS[name], ActorCritic(4, 2, (8,), learners=2, generator=rng(0, "w"))
    parts = replace(CONFIG, **fault.config), rng(0, "run"), ppo.Details(anneal=False), fault.prepare, fault.loss
    return list(ppo.train(cart_poles(8, limit=CUTS), model, *parts))


def buffers(name):
    """The buffer as it should be, and as the fault leaves it."""
    model, envs = ActorCritic(4, 2, (8,), generator=rng(0, "w")), cart_poles(4, limit=CUTS)
    rollout = collect(envs, model, fresh_start(envs, 0), 40, rng(0, "a"))
    assert rollout.terminated.any() and rollout.truncated.any()
    rest = CONFIG, ppo.Details()
    return rollout, ppo.prepare(rollout, *rest), FAULTS[name].prepare(rollout, *rest)


def test_the_sign_and_nothing_else():
    _, right, wrong = buffers("sign")
    assert torch.equal(right.adv, -wrong.adv) and torch.equal(right.ret, wrong.ret)


def test_rewards_reach_the_critic_a_hundredfold():
    _, right, wrong = buffers("large rewards")
    torch.testing.assert_close(wrong.ret, wrong.adv + wrong.old_values)
    assert wrong.ret.mean() > 50 * right.ret.mean()


def test_values_cross_an_ignored_end():
    rollout, right, wrong = buffers("ends")
    last = rollout.terminated.flatten()
    assert (wrong.ret - right.ret)[0, last].abs().min() > 1e-4


def test_shifted_states_are_those_behind_the_step():
    rollout, right, wrong = buffers("shift")
    assert torch.equal(wrong.states[0, :-4], right.states[0, 4:]) and torch.equal(wrong.adv, right.adv)


@pytest.mark.parametrize("name", FAULTS)
def test_what_the_exact_dials_say(name):
    found = signature(records(name))
    assert (found["first k3"].abs() > 1e-5).all() == (name == "shift")
    assert (found["k3"] < 1e-9).all() == (name == "old = new") == (found["clipped"] == 0).all()
    assert all(values.isfinite().all() and values.shape == (2,) for values in found.values())


def test_a_run_is_told_by_the_nearest_signature():
    dials = ("first k3", "k3", "critic", "gradient", "clipped", "entropy", "explained")
    noise = {name: {d: 0.5 + 0.01 * torch.rand(5, generator=rng(0, d, name)) for d in dials} for name in "ab"}
    noise["b"]["entropy"] -= 0.2
    assert nearest({d: v[:2] for d, v in noise["b"].items()}, noise) == ["b", "b"]
    assert nearest({d: v[:2] for d, v in noise["a"].items()}, noise) == ["a", "a"]
