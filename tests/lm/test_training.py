"""The training loop: its schedule by hand, its loss against torch, an interrupted run against one that was not."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lively import lively, some_ids

from llmrl.lm import training
from llmrl.lm.training import Plan, adamw, learning_rate, next_token_loss, pad, sample_batches, text_batches, train
from llmrl.seeds import rng

SAMPLES = [([1, 2, 3, 4], [False, True, True, True]), ([5, 6], [False, True]), ([7, 8, 9], [False, False, True])]


def batches(step):
    return some_ids(seed=step), torch.ones(3, 11, dtype=torch.bool)


def test_the_rate_by_hand():
    plan = Plan(steps=110, lr=0.5, warmup=10, final=0.2)
    assert learning_rate(0, plan) == pytest.approx(0.05)  # the first step already learns
    assert learning_rate(9, plan) == learning_rate(10, plan) == 0.5  # the end of warm-up, the beginning of the cosine
    assert learning_rate(60, plan) == pytest.approx(0.3)  # half-way down from 0.5 to 0.1
    assert learning_rate(35, plan) == pytest.approx(0.1 + 0.4 * (1 + math.cos(math.pi / 4)) / 2)
    assert learning_rate(110, plan) == learning_rate(9999, plan) == pytest.approx(0.1)


@given(st.integers(1, 300), st.integers(0, 60), st.floats(0, 1))
def test_the_rate_rises_then_falls_and_stays_in_its_bounds(steps, warmup, final):
    plan = Plan(steps, 1.0, warmup, final)
    rates = [learning_rate(step, plan) for step in range(steps)]
    assert all(a <= b for a, b in zip(rates[:warmup], rates[1:warmup]))
    assert all(a >= b for a, b in zip(rates[warmup:], rates[warmup + 1 :]))
    assert all(0 < rate <= 1 for rate in rates[:warmup]) and all(final - 1e-9 <= rate <= 1 for rate in rates[warmup:])


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_the_rate_is_that_of_transformers_one_step_ahead(final):
    """Theirs starts at zero, so that their first step learns nothing; ours is one step ahead until warm-up ends."""
    from transformers import get_cosine_with_min_lr_schedule_with_warmup

    plan = Plan(steps=60, lr=0.5, warmup=12, final=final)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=plan.lr)
    theirs = get_cosine_with_min_lr_schedule_with_warmup(optimizer, plan.warmup, plan.steps, min_lr_rate=final)
    rates = []
    for _ in range(plan.steps):
        rates.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    ours = [learning_rate(step, plan) for step in range(plan.steps)]
    assert rates[0] == 0 and ours[: plan.warmup] == pytest.approx(rates[1 : plan.warmup + 1])
    assert ours[plan.warmup :] == pytest.approx(rates[plan.warmup :])


def test_the_rate_is_that_of_torchs_schedulers():
    plan = Plan(steps=60, lr=0.5, warmup=12, final=0.1)
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(()))], lr=plan.lr)
    rise = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / plan.warmup, 1.0, plan.warmup - 1)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, plan.steps - plan.warmup, plan.lr * plan.final)
    theirs = torch.optim.lr_scheduler.SequentialLR(optimizer, [rise, fall], [plan.warmup])
    for step in range(plan.steps):
        assert theirs.get_last_lr()[0] == pytest.approx(learning_rate(step, plan)), step
        optimizer.step()
        theirs.step()


def test_mean_loss_is_the_next_token_loss_of_all_rows():
    model, ids = lively(), some_ids(B=7)
    whole = next_token_loss(model, ids, torch.ones_like(ids, dtype=torch.bool))
    assert training.mean_loss(model, ids, at_once=3) == pytest.approx(whole.item(), abs=1e-5)


@pytest.mark.parametrize(
    "wrong",
    [{"steps": 0}, {"steps": 2.5}, {"steps": True}, {"warmup": -1}, {"lr": 0.0}, {"lr": math.nan}, {"final": 1.5},
     {"clip": 0}, {"weight_decay": -0.1}],
)  # fmt: skip
def test_a_plan_that_cannot_be_followed(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Plan(**{"steps": 10, **wrong})


def cross_entropy(model, ids, mask):
    """torch's own, with the labels shifted as transformers shifts them."""
    logits, labels = model(ids)[:, :-1], ids.masked_fill(~mask, -100)[:, 1:]
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)


def test_the_loss_is_torchs_cross_entropy_with_ignored_labels():
    model, ids = lively(), some_ids()
    mask = torch.rand(ids.shape, generator=rng(0)) < 0.4
    torch.testing.assert_close(next_token_loss(model, ids, mask), cross_entropy(model, ids, mask))
    every_row_alike = torch.stack([next_token_loss(model, i[None], m[None]) for i, m in zip(ids, mask)]).mean()
    assert not torch.isclose(next_token_loss(model, ids, mask), every_row_alike)  # every token weighs the same


def test_the_loss_is_that_of_transformers_with_labels():
    model, ids = lively(), some_ids()
    mask = torch.arange(ids.shape[1]) > 4
    theirs = model.to_transformers()(ids, labels=ids.masked_fill(~mask, -100)).loss
    torch.testing.assert_close(next_token_loss(model, ids, mask.expand_as(ids)), theirs, atol=1e-5, rtol=1e-5)


def test_no_gradient_comes_from_what_is_masked():
    ids, logits = some_ids(), torch.randn(3, 11, 40, generator=rng(1)).requires_grad_()
    mask = torch.arange(11) >= 6
    next_token_loss(lambda _: logits, ids, mask.expand_as(ids)).backward()
    felt = logits.grad.abs().sum(-1) > 0
    assert torch.equal(felt, (torch.arange(11) >= 5).expand(3, 11) & (torch.arange(11) < 10))  # token t is told at t-1


def test_adamw_shrinks_matrices_only():
    model = lively()
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = adamw(model, lr=0.1, weight_decay=0.5)
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    for name, p in model.named_parameters():
        torch.testing.assert_close(p.detach(), before[name] * (0.95 if p.dim() > 1 else 1.0))


def test_adamw_leaves_frozen_weights_out():
    model = lively()
    model.embed.weight.requires_grad_(False)
    before = model.embed.weight.clone()
    list(train(model, batches, Plan(steps=2, warmup=0)))
    assert torch.equal(model.embed.weight, before)


def test_a_step_is_clipped_but_the_record_tells_the_true_length():
    model = lively()
    loss = 1000 * next_token_loss(model, *batches(0))
    norm = training.update(model, torch.optim.SGD(model.parameters(), lr=1.0), loss, clip=0.5)
    clipped = torch.stack([p.grad.norm() for p in model.parameters()]).norm()
    assert norm > 10 and clipped == pytest.approx(0.5, rel=1e-3)


def test_training_overfits_a_handful_of_samples():
    model, plan = lively(), Plan(steps=80, lr=1e-2, warmup=5)
    records = list(train(model, sample_batches(SAMPLES, 8, lambda step: rng(0, step)), plan))
    assert records[0]["loss"] > 3 and records[-1]["loss"] < 0.1 and not model.training
    assert [r["step"] for r in records] == list(range(80))
    assert records[20]["lr"] == learning_rate(20, plan)


def weights(model):
    return [p.detach().clone() for p in model.parameters()]


def test_six_steps_are_three_and_three_more():
    plan, whole = Plan(steps=6, warmup=2), lively()
    straight = list(train(whole, batches, plan))
    model = lively()
    optimizer = adamw(model, plan.lr, plan.weight_decay)
    first = [record for _, record in zip(range(3), train(model, batches, plan, optimizer))]
    saved, moments = model.state_dict(), optimizer.state_dict()
    other = lively(seed=7)  # another process: nothing survives but what was saved
    other.load_state_dict(saved)
    restored = adamw(other, plan.lr, plan.weight_decay)
    restored.load_state_dict(moments)
    assert first + list(train(other, batches, plan, restored, start=3)) == straight
    assert all(torch.equal(a, b) for a, b in zip(weights(other), weights(whole)))


def test_three_steps_without_the_moments_go_elsewhere():
    plan, whole, model = Plan(steps=6, warmup=2), lively(), lively()
    list(train(whole, batches, plan))
    for _ in zip(range(3), train(model, batches, plan)):
        pass
    list(train(model, batches, plan, start=3))
    assert not all(torch.equal(a, b) for a, b in zip(weights(model), weights(whole)))


def test_a_loss_that_is_nan_stops_the_run_and_leaves_the_weights():
    model, plan = lively(), Plan(steps=6, warmup=0)

    def loss(model, ids, mask):
        value = next_token_loss(model, ids, mask)
        return value * math.nan if torch.equal(ids, batches(3)[0]) else value

    seen, before = [], None
    with pytest.raises(FloatingPointError, match="after 3 steps the loss is nan.*lower the learning rate"):
        for record in train(model, batches, plan, loss=loss):
            seen.append(record["step"])
            before = weights(model)
    assert seen == [0, 1, 2] and all(torch.equal(a, b) for a, b in zip(weights(model), before))


def test_an_endless_gradient_stops_the_run_too():
    model = lively()
    with pytest.raises(FloatingPointError, match="after 0 steps"):
        training.update(model, adamw(model, 1e-3), next_token_loss(model, *batches(0)) * math.inf)


@given(st.lists(st.lists(st.integers(1, 9), max_size=5), min_size=1, max_size=4).filter(any))
def test_pad_keeps_every_row_and_fills_the_rest(rows):
    padded, longest = pad(rows), max(map(len, rows))
    assert padded.shape == (len(rows), longest) and padded.dtype == torch.long
    for row, original in zip(padded.tolist(), rows):
        assert row == original + [0] * (longest - len(original))


def test_pad_keeps_the_type_of_its_rows():
    assert pad([[True], [True, False]], False).dtype == torch.bool
    assert pad([[0.5], []], 0.0).tolist() == [[0.5], [0.0]]
    assert pad([(1, 2), torch.tensor([3])]).tolist() == [[1, 2], [3, 0]]


@pytest.mark.parametrize("rows", [[], [[]], [[], []]])
def test_nothing_cannot_be_padded(rows):
    with pytest.raises(ValueError, match=f"{len(rows)} rows, all of them empty"):
        pad(rows)


def drawn(make, steps):
    return [[x.tolist() for x in make(step)] for step in steps]


@pytest.mark.parametrize(
    "make",
    [lambda dice: text_batches(range(100), 4, 8, dice), lambda dice: sample_batches(SAMPLES, 4, dice)],
    ids=["text", "samples"],
)
def test_a_batch_depends_on_its_number_alone(make):
    dice = lambda step: rng(3, "batch", step)  # noqa: E731
    forwards, backwards = drawn(make(dice), range(5)), drawn(make(dice), reversed(range(5)))
    assert forwards == backwards[::-1]
    assert len({str(batch) for batch in forwards}) > 1


def test_text_batches_are_windows_and_reach_both_ends():
    at = text_batches(range(10), 64, 4, lambda step: rng(0, step))
    ids, mask = at(0)
    assert ids.shape == mask.shape == (64, 4) and mask.all() and ids.dtype == torch.long
    assert (ids.diff(dim=1) == 1).all() and ids.min() == 0 and ids.max() == 9


def test_sample_batches_mask_the_padding():
    at = sample_batches(SAMPLES, 16, lambda step: rng(0, step))
    for ids, mask in zip(*at(0)):
        original = next(s for s in SAMPLES if s[0][0] == ids[0])
        length = len(original[0])
        assert ids[:length].tolist() == original[0] and mask[:length].tolist() == original[1]
        assert not ids[length:].any() and not mask[length:].any()


def test_a_text_shorter_than_its_window():
    with pytest.raises(ValueError, match="a window of 8 tokens does not fit into a text of 3"):
        text_batches([1, 2, 3], 1, 8, rng)


@pytest.mark.parametrize(
    "sample",
    [([1, 2], [False, False]), ([1, 2], [True, False]), ([1, 2], [False]), ([1], [True]), ([], [])],
)
def test_a_sample_with_nothing_to_learn_is_named(sample):
    with pytest.raises(ValueError, match="sample 3 must have a mask as long as its ids"):
        sample_batches([*SAMPLES, sample], 2, rng)


def test_no_samples_at_all():
    with pytest.raises(ValueError, match="there are no samples to draw from"):
        sample_batches([], 2, rng)


def test_a_longer_plan_changes_the_rate_and_nothing_else():
    plan = Plan(steps=3, warmup=3)
    a, b = list(train(lively(), batches, plan)), list(train(lively(), batches, replace(plan, steps=6)))
    assert a == b[:3]  # inside the warm-up both have the same rate
