"""Own checkpoints and plans against no checkpoint at all, against torch's, and against the meter."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively
from torch import nn
from torch.utils.checkpoint import checkpoint as torchs

from llmrl.lm.model import turns
from llmrl.lm.training import next_token_loss
from llmrl.perf import memory, recompute
from llmrl.perf.checkpointing import checkpoint, slope_again
from llmrl.perf.peak import Meter

DEEP = replace(SMALL, layers=6)
PLANS = {"nothing": [6], "each layer": recompute.segments(6, 1), "twos": recompute.segments(6, 2), "all": [[6]],
         "uneven": recompute.segments(6, 4), "halving": recompute.halving(6), "start": recompute.from_the_start(6),
         "last one kept": [[5], 1]}  # fmt: skip


def ids(B=3, T=12):
    return torch.arange(B * T).view(B, T) * 7 % SMALL.vocab


def gradients(model):
    model.zero_grad()
    next_token_loss(model, ids(), torch.ones_like(ids(), dtype=torch.bool)).backward()
    return [p.grad.clone() for p in model.parameters()]


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
def test_the_gradient_is_the_same_to_the_last_bit(plan):
    model = lively(DEEP)
    before = gradients(model)
    with recompute.planned(model, plan):
        inside = gradients(model)
    assert all(torch.equal(a, b) for a, b in zip(before, inside))
    assert all(torch.equal(a, b) for a, b in zip(before, gradients(model))), "and afterwards all is as it was"


@pytest.mark.parametrize("reentrant", [True, False])
def test_torchs_checkpoint_gives_the_same(reentrant):
    model = lively(DEEP)
    with recompute.planned(model, recompute.segments(6, 2)):
        ours = gradients(model)
    with recompute.planned(model, recompute.segments(6, 2), partial(torchs, use_reentrant=reentrant)):
        theirs = gradients(model)
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs))


def test_slope_again_by_hand():
    weight = torch.tensor([2.0], requires_grad=True)
    with torch.no_grad():
        slope = slope_again(lambda x: weight * x**2, torch.tensor([3.0]), torch.tensor([10.0]))
    assert slope.item() == 10 * 2 * 2 * 3 and weight.grad.item() == 10 * 9


def test_dice_fall_the_same_way_twice():
    x = torch.ones(1000, requires_grad=True)
    dropped = lambda x: nn.functional.dropout(x, 0.5)  # noqa: E731
    torch.manual_seed(3)
    y = checkpoint(dropped, x)
    after = torch.rand(3)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach()), "what was dropped on the way forward has slope 0, the rest 2"
    torch.manual_seed(3)
    dropped(x)
    assert torch.equal(after, torch.rand(3)), "and the dice of others are left alone"


def test_a_function_that_throws_other_dice_gives_another_gradient():
    generator = torch.Generator().manual_seed(0)
    x = torch.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: x * (torch.rand(1000, generator=generator) > 0.5), x)
    y.sum().backward()
    assert not torch.equal(x.grad, y.detach()), "its own generator is not put back: such a function cannot be run again"


def chain(plan):
    calls = []
    stack = [lambda x, i=i: calls.append(i) or x * 1.5 for i in range(recompute.layers(plan))]
    x = torch.ones(2, requires_grad=True)
    recompute.run(stack, plan, x).sum().backward()
    assert x.grad[0].item() == pytest.approx(1.5 ** len(stack))
    return len(calls)


plans = st.recursive(st.integers(1, 3), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6)


@given(st.lists(plans, min_size=1, max_size=3))
@settings(max_examples=40, deadline=None)
def test_forwards_are_counted_as_they_happen(plan):
    assert recompute.forwards(plan) == chain(plan)


def test_the_textbooks_counts():
    for n in (1, 4, 9, 16, 25):
        assert recompute.forwards([n]) == n
        assert recompute.forwards(recompute.segments(n, 1)) == 2 * n == recompute.forwards(recompute.square_root(n))
        assert recompute.forwards(recompute.from_the_start(n)) == n * (n + 1) // 2
        assert len(recompute.square_root(n)) == round(n**0.5)
    assert recompute.forwards(recompute.halving(16)) == 16 * (4 + 2) // 2
    assert recompute.peak([16], 5.0, 1.0) == 80 and recompute.peak(recompute.segments(16, 1), 5.0, 1.0) == 20
    assert recompute.peak(recompute.square_root(16), 1.0, 1.0) == 7, "2 sqrt(n) - 1 where a layer keeps its input only"


def stack_peak(plan, B=4, T=16):
    """What a chain of layers holds above what was there, in bytes, measured; gradients are there already."""
    model, x = lively(DEEP), torch.randn(B, T, 24, requires_grad=True)
    turn = turns(torch.arange(T), DEEP)
    for p in model.layers.parameters():
        p.grad = torch.zeros_like(p)
    with Meter(*model.layers.parameters(), *(p.grad for p in model.layers.parameters()), x, turn) as meter:
        held = meter.live
        recompute.run(model.layers, plan, x, turn).square().sum().backward()
    return meter.peak - held


def test_what_plans_hold_differs_as_predicted():
    layer, stream = memory.layer_bytes(DEEP, 4, 16), 4 * 16 * 24 * 4
    excess = {name: stack_peak(plan) - recompute.peak(plan, layer, stream) for name, plan in PLANS.items()}
    dice = 5056 * 8  # the state of the generator that every checkpoint keeps
    assert max(excess.values()) - min(excess.values()) <= dice, excess


@given(st.integers(1, 60), st.floats(1, 40))
@settings(max_examples=60, deadline=None)
def test_the_best_segment_is_near_the_root(n, a):
    sizes = range(1, n + 1)
    held = [recompute.peak(recompute.segments(n, k), a, 1.0) for k in sizes]
    root = min(n, max(1, round((n / a) ** 0.5)))
    assert held[root - 1] <= 1.3 * min(held) + 1


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda: checkpoint(torch.exp, torch.ones(2)), ValueError, "x wants no gradient"),
        (lambda: checkpoint(torch.exp, torch.ones(2, dtype=torch.long)), TypeError, "numbers, got torch.int64"),
        (lambda: checkpoint(torch.exp, 3.0), TypeError, "got float"),
        (lambda: recompute.segments(0, 1), ValueError, "n must be a whole number of layers"),
        (lambda: recompute.segments(4, 0), ValueError, "size must be a whole number of layers"),
        (lambda: recompute.run([torch.exp], [2], torch.ones(1)), ValueError, "the plan is for 2 layers, got 1"),
        (lambda: recompute.planned(lively(), [3]).__enter__(), ValueError, "the plan is for 3 layers, the model has 2"),
    ],
)  # fmt: skip
def test_bad_input(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_without_a_record_nothing_is_asked_for():
    with torch.no_grad():
        assert checkpoint(torch.exp, torch.zeros(1)).item() == 1


def test_a_second_derivative_is_refused():
    x = torch.ones(1, requires_grad=True)
    (slope,) = torch.autograd.grad(checkpoint(lambda x: x**3, x), x, create_graph=True)
    with pytest.raises(RuntimeError, match="does not require grad"):
        slope.backward()
