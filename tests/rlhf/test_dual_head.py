"""One body with two heads beside two models with the same weights, and whose gradient reaches what."""

import copy

import pytest
import torch
from lm.lively import lively, some_ids
from torch import nn

from llmrl.lm.training import adamw, update
from llmrl.policy.surrogate import Surrogate
from llmrl.policy.token_critic import Critic, losses
from llmrl.rlhf.dual_head import DualHead, drift, joint_losses, value_error
from llmrl.seeds import rng

TOKENS = Surrogate(average="token")


def pair(apart=False):
    """A dual model, and policy and critic with the same numbers."""
    dual = DualHead(lively(), apart)
    nn.init.normal_(dual.value_head.weight, generator=rng(0, "head"))
    critic = Critic(dual.lm)
    critic.head.load_state_dict(dual.value_head.state_dict())
    return dual, copy.deepcopy(dual.lm), critic


def batch():
    ids = some_ids()
    mask = torch.arange(ids.shape[1]) >= torch.tensor([[4], [2], [7]])
    draw = rng(0, "batch")
    old, adv, ret = (torch.randn(3, 10, generator=draw) for _ in range(3))
    return (ids, mask, old / 10 - 3), torch.where(mask[:, 1:], adv, 0.0), ret


class Plan:
    surrogate, pieces = TOKENS, 1


def test_one_pass_gives_what_two_models_give():
    dual, policy, critic = pair()
    ids = some_ids()
    logits, values = dual(ids)
    assert logits.shape == (3, 11, 40) and values.shape == (3, 11)
    torch.testing.assert_close(logits, policy(ids), atol=0, rtol=0)
    torch.testing.assert_close(values, critic(ids), atol=0, rtol=0)


def test_a_new_head_expects_nothing_and_the_model_is_no_copy():
    lm = lively()
    dual = DualHead(lm)
    assert dual.lm is lm and (dual(some_ids())[1] == 0).all()


@pytest.mark.parametrize("apart", [False, True])
def test_the_losses_are_those_of_the_token_critic(apart):
    dual, policy, critic = pair(apart)
    rows, adv, ret = batch()
    torch.testing.assert_close(
        torch.stack(joint_losses(dual, rows, adv, ret, TOKENS)),
        torch.stack(losses(policy, critic, rows, adv, ret, Plan)),
    )


def test_apart_the_gradient_of_the_values_stops_at_their_head():
    for apart in (False, True):
        dual, _, _ = pair(apart)
        rows, adv, ret = batch()
        joint_losses(dual, rows, adv, ret, TOKENS)[1].backward()
        assert dual.value_head.weight.grad.abs().sum() > 0
        assert all((p.grad is None) == apart for p in dual.lm.parameters())


def test_a_step_on_the_values_alone_moves_a_shared_policy():
    rows, _, ret = batch()
    for apart in (False, True):
        dual, reference, _ = pair(apart)
        told = rows[1][:, 1:]
        update(dual, adamw(dual, 1e-2), value_error(dual(rows[0])[1], ret, told))
        moved = drift(dual.lm, reference, rows[0], told)
        assert moved == pytest.approx(0, abs=1e-6) if apart else moved > 1e-3


def test_value_error_counts_told_tokens_only():
    values, told = torch.zeros(1, 4), torch.tensor([[False, True, True]])
    ret = torch.tensor([[100.0, 1.0, 3.0]])
    assert value_error(values, ret, told).item() == pytest.approx((1 + 9) / 4)
