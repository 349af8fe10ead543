"""One loop, several updates: what each does with the same batch."""

import numpy as np
import pytest
import torch

from llmrl.policy.actor_critic import actor_loss
from llmrl.policy.evolution import Ascent, Batch, Clipped, Penalised, Plan, Trusted, actor_parameters, batch, train
from llmrl.policy.networks import ActorCritic
from llmrl.policy.rollout import collect, fresh_start
from llmrl.policy.trpo import TrustRegion, flat, remembered
from llmrl.rl.crowd import Crowd
from llmrl.rl.mdp import MDP
from llmrl.seeds import rng
from llmrl.toy.cart_pole import cart_poles

PLAN = Plan(updates=3, steps=32, critic_steps=5)


def ready(learners=2, envs=4):
    network = ActorCritic(4, 2, (8,), learners=learners, generator=rng(0, "weights"))
    poles = cart_poles(learners * envs)
    rollout = collect(poles, network, fresh_start(poles, 0), 40, rng(0, "play"))
    return network, batch(rollout, PLAN, learners)


def test_advantages_have_mean_zero_and_deviation_one_per_learner():
    _, now = ready()
    assert not now.live.all()  # some episodes ended, or the mask is not tested
    for adv, live in zip(now.adv, now.live):
        assert abs(adv[live].mean()) < 1e-5 and abs(adv[live].std(correction=0) - 1) < 1e-4


def test_one_plain_step_is_the_policy_gradient():
    network, now = ready()
    parameters = actor_parameters(network)
    loss = torch.where(now.live, actor_loss(network.policy(now.states).logp(now.actions), now.adv), 0.0).sum(1)
    expected = torch.autograd.grad((loss / now.live.sum(1)).sum(), parameters)
    ascent = Ascent(network, passes=1)
    ascent(now, remembered(network.policy(now.states)))
    for parameter, grad in zip(parameters, expected):
        torch.testing.assert_close(parameter.grad, grad)


def far(network, old, now):
    return torch.where(now.live, old.kl(network.policy(now.states)), 0.0).sum(1) / now.live.sum(1)


def test_clip_and_penalty_hold_back_what_many_plain_steps_do_not():
    found = {}
    objectives = {"plain": None, "clipped": Clipped(), "penalised": Penalised(beta=30.0)}
    for name, objective in objectives.items():
        network, now = ready()
        old = remembered(network.policy(now.states))
        Ascent(network, *([objective] if objective else []), lr=3e-2, passes=20)(now, old)
        found[name] = far(network, old, now)
    assert (found["clipped"] < found["plain"] / 2).all() and (found["penalised"] < found["plain"] / 2).all()


def test_the_trust_region_obeys_and_the_natural_step_need_not():
    for bound in (0.001, 0.05):
        network, now = ready()
        old = remembered(network.policy(now.states))
        Trusted(network, TrustRegion(bound))(now, old)
        assert (far(network, old, now) <= bound).all()
    network, now = ready()
    old = remembered(network.policy(now.states))
    Trusted(network, TrustRegion(2.0, damping=1e-4), natural=True)(now, old)
    assert (far(network, old, now) > 0.1).all()


@pytest.mark.parametrize("improve", [
    lambda n: Ascent(n, Clipped()), lambda n: Ascent(n, Penalised()), Trusted, lambda n: Ascent(n, passes=1),
])  # fmt: skip
def test_a_run_yields_what_it_measured(improve):
    network = ActorCritic(4, 2, (8,), learners=2, generator=rng(0, "weights"))
    records = list(train(cart_poles(8), network, improve(network), PLAN, rng(0, "run")))
    assert [record["step"] for record in records] == [128, 256, 384]
    for record in records:
        assert all(record[name].shape == (2,) for name in ("kl", "largest", "outside"))
        assert (record["largest"] >= record["kl"]).all() and (record["kl"] > 0).all()
    assert sum(len(record["finished"]) for record in records) > 10


def test_the_price_follows_the_distance():
    network = ActorCritic(4, 2, (8,), learners=2, generator=rng(0, "weights"))
    objective = Penalised(target=1e-6)
    list(train(cart_poles(8), network, Ascent(network, objective), PLAN, rng(0, "run")))
    assert objective.beta.tolist() == [8.0, 8.0]  # too far each time
    fixed = Penalised(target=1e-6, adaptive=False)
    list(train(cart_poles(8), network, Ascent(network, fixed), PLAN, rng(0, "run")))
    assert fixed.beta.item() == 1.0


def test_a_world_that_ends_at_once():
    P = np.zeros((2, 2, 2))
    P[:, :, 1] = 1.0
    world = MDP.checked(P, [[[0, 0], [0, 1]], [[0, 0], [0, 0]]], 0, [False, True])
    network = ActorCritic(2, 2, (4,), generator=rng(0, "weights"))
    records = list(
        train(Crowd(world, np.eye(2), 6), network, Ascent(network, lr=0.1), Plan(10, 8, critic_steps=5), rng(0, "run"))
    )
    assert all(np.isfinite(record["kl"].numpy()).all() for record in records)
    with torch.no_grad():
        assert network.policy(torch.eye(2)).logps()[0, 1].exp() > 0.9  # it learned that action 1 pays
    assert len(records[-1]["finished"]) == 24  # every second step is dead


def test_a_shared_trunk_is_refused():
    with pytest.raises(ValueError, match="a trunk of its own"):
        actor_parameters(ActorCritic(4, 2, (8,), shared=True))


def test_parameters_of_the_actor_are_all_that_move_it():
    network, now = ready()
    before = flat(actor_parameters(network)).clone()
    critic = network.value_head.weight.clone()
    Trusted(network)(now, remembered(network.policy(now.states)))
    assert (flat(actor_parameters(network)) != before).any(1).all() and (network.value_head.weight == critic).all()
    assert isinstance(now, Batch)
