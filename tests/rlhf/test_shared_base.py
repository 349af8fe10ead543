"""Roles on one frozen base against separate models with the same adapters: outputs, gradients, steps, bytes."""

import copy

import pytest
import torch
from lm.lively import SMALL, lively, some_ids

from llmrl.lm.generation import generate
from llmrl.lm.training import adamw, next_token_loss, update
from llmrl.rlhf.fingerprint import fingerprint
from llmrl.rlhf.shared_base import SharedBase, stored
from llmrl.seeds import rng
from llmrl.tuning.lora import adapters, added, inject, trainable

RANK, ALPHA = 4, 8


def stir(matrices, label):
    """Adapters that have learned something."""
    dice = rng(0, label)
    with torch.no_grad():
        for matrix in matrices:
            matrix += 0.3 * torch.randn(matrix.shape, generator=dice)


def shared():
    base = SharedBase(lively())
    roles = {name: base.add(name, RANK, ALPHA, head=name != "policy", generator=rng(0, name))
             for name in ("policy", "critic", "reward")}  # fmt: skip
    for name, role in roles.items():
        stir(role.parameters(), name)
    return base, roles


def separate(name):
    """The same role as a model of its own: LoRA in a copy of the base, as lesson 2.3 has it, and a head."""
    model = inject(lively(), RANK, ALPHA, generator=rng(0, name))
    dice = [p for adapter in adapters(model).values() for p in (adapter.A, adapter.B)]
    head = None if name == "policy" else torch.zeros(1, SMALL.width, requires_grad=True)
    stir(dice + ([] if head is None else [head]), name)
    return model, head


def answer(model, head, ids):
    return model(ids) if head is None else (model.hidden(ids) @ head.T).squeeze(-1)


def test_every_role_answers_as_its_own_model_does():
    base, roles = shared()
    ids = some_ids()
    for name, role in roles.items():
        with torch.no_grad():
            ours, theirs = role(ids), answer(*separate(name), ids)
        assert ours.shape == ((3, 11, 40) if name == "policy" else (3, 11))
        torch.testing.assert_close(ours, theirs, atol=0 if name == "policy" else 1e-6, rtol=0)
    torch.testing.assert_close(base.reference()(ids), lively()(ids), atol=0, rtol=0)
    outputs = [base.reference()(ids), roles["policy"](ids)]
    assert (outputs[0] - outputs[1]).abs().max() > 0.01


def test_new_roles_begin_as_the_base():
    base = SharedBase(lively())
    torch.testing.assert_close(base.add("policy", RANK, ALPHA)(some_ids()), lively()(some_ids()), atol=0, rtol=0)
    assert (base.add("critic", RANK, ALPHA, head=True)(some_ids()) == 0).all()


def test_a_step_of_one_role_is_the_separate_models_and_moves_no_other():
    base, roles = shared()
    model, _ = separate("policy")
    ids = some_ids()
    told = torch.ones_like(ids, dtype=torch.bool)
    before = {name: fingerprint(role) for name, role in roles.items()}
    frozen = base.reference()(ids)
    for one in (roles["policy"], model):
        update(one, adamw(one, 1e-2), next_token_loss(one, ids, told))
    torch.testing.assert_close(roles["policy"](ids), model(ids), atol=0, rtol=0)
    moved = {name for name, role in roles.items() if fingerprint(role) != before[name]}
    assert moved == {"policy"}
    torch.testing.assert_close(base.reference()(ids), frozen, atol=0, rtol=0)


def test_interleaved_passes_keep_their_gradients_apart():
    base, roles = shared()
    ids = some_ids()
    spoken = roles["policy"](ids).square().mean()
    roles["critic"](ids)  # another adapter is on before the policy's backward pass
    spoken.backward()
    model, _ = separate("policy")
    model(ids).square().mean().backward()
    own = [p.grad for a in adapters(model).values() for p in (a.A, a.B)]
    for ours, theirs in zip(roles["policy"].adapters, own):
        torch.testing.assert_close(ours.grad, theirs, atol=0, rtol=0)
    assert all(p.grad is None for p in roles["critic"].parameters())


def test_a_role_can_speak():
    base, roles = shared()
    model, _ = separate("policy")
    with base.wearing("policy") as lm:
        ours = generate(lm, [[5, 6, 7]], 6, generator=rng(0, "talk"))
    theirs = generate(model, [[5, 6, 7]], 6, generator=rng(0, "talk"))
    assert ours.ids.tolist() == theirs.ids.tolist()
    torch.testing.assert_close(base.lm(some_ids()), lively()(some_ids()), atol=0, rtol=0)  # taken off again


def test_an_error_takes_the_adapter_off():
    base, _ = shared()
    with pytest.raises(RuntimeError), base.wearing("policy"):
        raise RuntimeError
    assert {slot.on for slot in base.slots()} == {None}


def test_bytes_are_counted_once():
    base, roles = shared()
    one = stored(lively())
    assert one == 4 * sum(p.numel() for p in lively().parameters())
    assert stored(base, *roles.values()) == one + 4 * (3 * added(SMALL, RANK) + 2 * SMALL.width)
    assert sum(map(trainable, roles.values())) == 3 * added(SMALL, RANK) + 2 * SMALL.width
    assert stored(lively(), lively()) == 2 * one
    half = lively().bfloat16()
    assert stored(half) == one // 2
    twin = lively()
    assert stored(twin, twin, copy.copy(twin)) == one


def test_gradients_and_optimizer_states_are_counted():
    model, ids = lively(), some_ids()
    optimizer = adamw(model, 1e-3)
    update(model, optimizer, next_token_loss(model, ids, torch.ones_like(ids, dtype=torch.bool)))
    one, tensors = stored(lively()), len(list(model.parameters()))
    assert stored(model) == 2 * one
    assert stored(model, optimizers=[optimizer]) == 4 * one + 4 * tensors  # a count of steps for each tensor


@pytest.mark.parametrize("name", ["policy", "", None])
def test_a_role_needs_a_name_of_its_own(name):
    base, _ = shared()
    with pytest.raises(ValueError, match="a name of its own.*the reference, policy, critic, reward"):
        base.add(name, RANK, ALPHA)


def test_unknown_roles_are_refused():
    base, _ = shared()
    with pytest.raises(ValueError, match="no role is called 'value'.*policy, critic, reward"), base.wearing("value"):
        pass
