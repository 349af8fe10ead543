"""PPO against plain loops, its stack of learners against each alone, and what it learns against exact values."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy import ppo
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import collect, fresh_start
from llmrl.rl.crowd import Crowd
from llmrl.rl.mdp import MDP, absorbing
from llmrl.rl.planning import policy_evaluation, value_iteration
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles
from llmrl.toy.environments import gridworld

PLAIN, CONFIG = ppo.Details(normalise=False), ppo.Config(steps=64, horizon=16, batch=8, epochs=2, entropy=0.01)


def network(learners=1, inputs=4, actions=2):
    return ActorCritic(inputs, actions, (8,), learners=learners, generator=rng(0, "network"))


def some_batch(learners=2, items=10):
    """A batch from carts that a slightly different network played, with dead steps among it."""
    players = network(learners)
    envs = cart_poles(learners * 2, limit=6)
    rollout = collect(envs, players, fresh_start(envs, 0), 20, rng(0, "actions"))
    full = ppo.prepare(rollout, CONFIG, ppo.Details(), learners)
    assert not full.live.all() and rollout.truncated.any()
    return full.at(torch.arange(items).expand(learners, -1))


def another(learners=2):
    return ActorCritic(4, 2, (8,), learners=learners, generator=rng(1, "network"))


@pytest.mark.parametrize("details", [PLAIN, ppo.Details(), ppo.Details(value_clip=0.1)])
def test_the_loss_one_item_at_a_time(details):
    model, batch = another(), some_batch()
    found, seen = ppo.loss(model, batch, CONFIG, details)
    dist, values = model(batch.states)
    for k in range(2):
        live = [i for i in range(10) if batch.live[k, i]]
        adv = batch.adv[k, live]
        if details.normalise:
            adv = (adv - adv.mean()) / (adv.std() + 1e-8)
        actor = critic = entropy = 0
        for i, a in zip(live, adv):
            ratio = (dist.logp(batch.actions)[k, i] - batch.old_logp[k, i]).exp()
            actor -= min(ratio * a, min(max(ratio, 0.8), 1.2) * a) / len(live)
            v, old, ret = values[k, i], batch.old_values[k, i], batch.ret[k, i]
            near = min(max(v, old - 0.1), old + 0.1) if details.value_clip else v
            critic += max((v - ret) ** 2, (near - ret) ** 2) / len(live)
            entropy += dist.entropy()[k, i] / len(live)
        torch.testing.assert_close(found[k], actor + 0.5 * critic - 0.01 * entropy)
        torch.testing.assert_close(seen["actor"][k], actor.detach())
        torch.testing.assert_close(seen["critic"][k], critic.detach())


def test_dead_steps_do_not_count():
    model, batch = another(), some_batch()
    spoiled = replace(
        batch,
        adv=torch.where(batch.live, batch.adv, 1e3),
        ret=torch.where(batch.live, batch.ret, -1e3),
        old_logp=torch.where(batch.live, batch.old_logp, -5.0),
    )
    (found, _), (same, _) = (ppo.loss(model, b, CONFIG, ppo.Details()) for b in (batch, spoiled))
    torch.testing.assert_close(found, same)


def test_learners_in_a_stack_learn_what_each_learns_alone():
    both, batch = another(), some_batch(2, 32)
    each = []
    for k in range(2):
        model = ActorCritic(4, 2, (8,))
        with torch.no_grad():
            for one, many in zip(model.parameters(), both.parameters()):
                one.copy_(many[k : k + 1])
        each.append(model)
    batches = [ppo.Batch(*(getattr(batch, f)[k : k + 1] for f in batch.__dataclass_fields__)) for k in range(2)]
    details = ppo.Details(shuffle=False)
    for model, full in ((both, batch), *zip(each, batches)):
        ppo.learn(model, torch.optim.Adam(model.parameters(), lr=1e-2), full, CONFIG, details, None)
    for k, model in enumerate(each):
        for one, many in zip(model.parameters(), both.parameters()):
            torch.testing.assert_close(one[0], many[k], atol=1e-5, rtol=1e-4)


def test_the_first_ratio_of_every_buffer_is_one_and_later_ones_are_not():
    envs, model = cart_poles(4), network(2)
    for record in ppo.train(envs, model, replace(CONFIG, lr=1e-2), rng(0, "run")):
        assert record["k3"][0].abs().max() < 1e-9 and (record["clipped"][0] == 0).all()
        assert (record["k3"][-1] > 1e-6).all()
        assert record["k3"].shape == (2 * 16 * 2 // 8, 2)
    assert record["step"] == 64


def test_normalised_advantages():
    adv, live = 5 + 3 * torch.randn(2, 50, generator=rng(0, "adv")), torch.ones(2, 50, dtype=torch.bool)
    live[1, 25:] = False
    found = ppo.normalised(adv, live)
    torch.testing.assert_close(found[0], (adv[0] - adv[0].mean()) / (adv[0].std() + 1e-8))
    torch.testing.assert_close(found[1, :25], (adv[1, :25] - adv[1, :25].mean()) / (adv[1, :25].std() + 1e-8))
    assert (ppo.normalised(torch.full((1, 3), 7.0), live[:1, :3]) == 0).all()  # all alike: no signal
    assert (ppo.normalised(torch.tensor([[7.0]]), live[:1, :1]) == 0).all()  # a single item has nothing to compare


def test_value_clip_never_lowers_the_error():
    values, old, ret = (torch.randn(100, generator=rng(0, name)) for name in "vor")
    plain, clipped = ppo.value_loss(values, old, ret), ppo.value_loss(values, old, ret, 0.2)
    assert (clipped >= plain).all() and (clipped > plain).any()
    far = torch.tensor([3.0], requires_grad=True)  # it moved beyond 0.2 towards a return of 5: enough for this buffer
    (gradient,) = torch.autograd.grad(ppo.value_loss(far, torch.zeros(1), torch.tensor([5.0]), 0.2).sum(), far)
    assert gradient == 0


@given(st.integers(1, 3), st.integers(1, 12), st.booleans())
def test_an_order_holds_every_item_once(learners, items, shuffle):
    found = ppo.order(learners, items, rng(0, "order"), shuffle)
    assert (found.sort(-1).values == torch.arange(items)).all() and found.shape == (learners, items)


def test_a_time_limit_keeps_the_value_behind_it_unless_told_otherwise():
    ring = Crowd(MDP.checked([[[1.0], [1.0]]], [[1.0, 1.0]], 0), [[1.0]], 4, limit=5)
    model = network(inputs=1)
    rollout = collect(ring, model, fresh_start(ring, 0), 12, rng(0, "ring"))
    worth = rollout.values[0, 0].item()  # there is one state, so one value
    kept, lost = (ppo.prepare(rollout, ppo.Config(lam=0.0), ppo.Details(bootstrap=b)).ret for b in (True, False))
    cut = rollout.truncated.flatten()
    torch.testing.assert_close(kept[0, cut], torch.full((8,), 1 + 0.99 * worth))
    torch.testing.assert_close(lost[0, cut], torch.ones(8))
    going = ~cut & rollout.live.flatten()
    torch.testing.assert_close(kept[0, going], lost[0, going])


def test_an_environment_that_ends_at_once():
    P, R = absorbing(np.full((2, 2, 2), [0.0, 1.0]), [[0.0, 1.0], [0.0, 0.0]], [False, True])
    at_once = Crowd(MDP.checked(P, R, 0, [False, True]), [[1.0], [0.0]], 8)
    model = network(inputs=1)
    for record in ppo.train(at_once, model, ppo.Config(512, 16, 32, 4, 0.03), rng(0, "run")):
        assert all(torch.isfinite(record[name]).all() for name in ("k3", "actor", "critic", "gradient"))
        assert {steps for *_, steps in record["finished"]} == {1}
    assert model.policy(torch.ones(1, 1)).logp(torch.tensor([1])).exp() > 0.9


def test_one_step_of_one_environment_is_a_buffer():
    for record in ppo.train(cart_poles(1), network(), ppo.Config(3, 1, 64, 2), rng(0, "run")):
        assert torch.isfinite(record["gradient"]).all() and record["explained"].isnan().all()


@pytest.mark.parametrize(
    "wrong", [{"steps": 0}, {"epochs": 0}, {"batch": 0}, {"lr": 0.0}, {"clip": -0.1}, {"gamma": 1.1}, {"lam": -0.1}]
)
def test_impossible_dials(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ppo.Config(**wrong)


def test_a_small_grid_is_solved():
    grid = gridworld(("S..", ".#.", "..G"), cost=0.05)
    crowd = Crowd(grid, np.eye(9), 2 * 8, limit=30)
    model = orthogonal_(ActorCritic(9, 4, (16,), learners=2, generator=rng(0, "w")), rng(0, "o"))
    before = copy.deepcopy(model)
    for _ in ppo.train(crowd, model, ppo.Config(4096, 32, 64, 4, 1e-2, entropy=0.01), rng(0, "run")):
        pass
    best, _ = value_iteration(grid.P, grid.R, 0.99)
    for k in range(2):
        worth = [exact_value(grid, m, k) for m in (before, model)]
        assert worth[0] < 0.5 * best[0] < 0.97 * best[0] < worth[1]


def exact_value(grid, model, learner):
    """What a learner's policy is worth at the start."""
    chances = model.policy(torch.eye(9).expand(2, 9, 9)).logps().exp()[learner].detach().double().numpy()
    return policy_evaluation(grid.P, grid.R, chances / chances.sum(-1, keepdims=True), 0.99)[0]
