"""The actor-critic: shapes, learners that know nothing of each other, trunks, orthogonal starts."""

import pytest
import torch

from llmrl.policy.heads import Gaussian, Softmax, Squashed
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.seeds import rng


def made(**more):
    return ActorCritic(4, 2, (8, 8), generator=rng(0, "net"), **more)


def test_a_distribution_and_a_value_per_state():
    states = torch.randn(3, 5, 4, generator=rng(0, "s"))
    dist, values = made()(states)
    assert isinstance(dist, Softmax) and dist.logits.shape == (3, 5, 2) and values.shape == (3, 5)
    torch.testing.assert_close(made().policy(states).logits, dist.logits)
    torch.testing.assert_close(made().value(states), values)
    assert made()(states[0, 0])[1].shape == ()


@pytest.mark.parametrize("head", [Gaussian, Squashed])
def test_continuous_heads_share_one_width_per_joint(head):
    dist, _ = made(head=head)(torch.randn(3, 5, 4, generator=rng(0, "s")))
    assert isinstance(dist, head) and dist.sample(rng(0, "a")).shape == (3, 5, 2)
    assert dist.logp(dist.sample(rng(0, "a"))).shape == (3, 5)
    assert dict(made(head=head, learners=3).named_parameters())["log_std"].shape == (3, 1, 2)


@pytest.mark.parametrize("shared", [False, True])
def test_learners_side_by_side_are_each_alone(shared):
    many, states = made(learners=3, shared=shared), torch.randn(3, 6, 4, generator=rng(0, "s"))
    dist, values = many(states)
    (dist.logits.sum() + values.sum()).backward()
    for k in range(3):
        one = made(shared=shared)
        with torch.no_grad():
            for own, all_ in zip(one.parameters(), many.parameters()):
                own.copy_(all_[k : k + 1])
        alone, value = one(states[k])
        torch.testing.assert_close(dist.logits[k], alone.logits)
        (alone.logits.sum() + value.sum()).backward()
        for own, all_ in zip(one.parameters(), many.parameters()):
            torch.testing.assert_close(all_.grad[k], own.grad[0])
    flat = many(states.flatten(0, 1))  # learner after learner along one axis, as environments are
    torch.testing.assert_close(flat[1].unflatten(0, (3, 6)), values)


def test_a_shared_trunk_is_one_trunk():
    apart, together = made(), made(shared=True)
    weights = 4 * 8 + 8 + 8 * 8 + 8
    assert sum(p.numel() for p in apart.parameters()) - sum(p.numel() for p in together.parameters()) == weights
    states = torch.randn(5, 4, generator=rng(0, "s"))
    for network, touched in ((apart, False), (together, True)):
        network.value(states).sum().backward()
        assert (network.actor[0].weight.grad is not None) == touched


def test_orthogonal_starts():
    network = orthogonal_(made(learners=2), rng(0, "start"))
    for layer, gain in ((network.actor[1], 2**0.5), (network.critic[1], 2**0.5)):
        for weight in layer.weight:
            torch.testing.assert_close(weight @ weight.T, gain**2 * torch.eye(8), atol=1e-5, rtol=0)
    for weight in network.policy_head.weight:
        torch.testing.assert_close(weight.T @ weight, 1e-4 * torch.eye(2), atol=1e-8, rtol=0)
    assert all(not layer.bias.any() for layer in (*network.actor, network.policy_head, network.value_head))
    assert (network.policy(torch.randn(2, 9, 4, generator=rng(0, "s"))).entropy() > 0.69).all()


def test_states_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"\(..., 4\)"):
        made()(torch.zeros(3, 5))
    with pytest.raises(ValueError, match="learner after learner"):
        made(learners=2)(torch.zeros(3, 4))
