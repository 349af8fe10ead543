"""AdaLoRA: its schedule, its scores and its choice by hand, and peft's ranks after the same updates."""

import numpy as np
import pytest
import torch
from family import draw, in_peft, linear, theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, talker

from llmrl.lm.training import Plan, next_token_loss, pad, train
from llmrl.tuning import sft
from llmrl.tuning.adalora import (
    Allocator,
    Budget,
    SVDLinear,
    keep_best,
    orthogonality,
    penalty,
    ranks_left,
    smooth,
    triplet_scores,
    triplets,
)
from llmrl.tuning.lora import ALL, adapt, inject, merge, unmerge

BUDGET = Budget(steps=14, first=4 * 14, last=2 * 14, warmup=3, final=3, every=2)
IDS, MASK = (pad(rows, fill) for rows, fill in zip(zip(*sft.samples(TALKS, bpe())), (0, False)))


def model():
    """A tiny model with four triplets beside each of its fourteen matrices."""
    return adapt(talker(), ALL, lambda plain: SVDLinear(plain, 4, 6.0))


def loss_with_penalty(model, ids, mask):
    return next_token_loss(model, ids, mask) + 0.5 * penalty(model)


def test_the_update_is_a_sum_of_triplets():
    layer, x = SVDLinear(linear(), 3, 6.0), draw(5, 10)
    torch.testing.assert_close(layer(x), layer.linear(x))  # the numbers begin at zero
    with torch.no_grad():
        layer.E.copy_(torch.tensor([1.0, -2.0, 0.5]))
    by_hand = sum(2.0 * layer.E[i] * torch.outer(layer.B[:, i], layer.A[i]) for i in range(3))
    torch.testing.assert_close(layer.delta(), by_hand)
    torch.testing.assert_close(layer(x), x @ (layer.linear.weight + by_hand).T, atol=1e-5, rtol=1e-5)
    W, y = layer.linear.weight.clone(), layer(x)
    torch.testing.assert_close(merge(layer)(x), y, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(unmerge(layer).linear.weight, W, atol=1e-6, rtol=1e-6)


def test_only_numbers_have_a_gradient_at_the_first_step():
    layer = SVDLinear(linear(), 3, 6.0)
    (layer(draw(5, 10)) * draw(5, 7)).sum().backward()
    assert layer.E.grad.norm() > 0 and not layer.A.grad.any() and not layer.B.grad.any()


def test_orthonormal_directions_cost_nothing():
    layer = SVDLinear(linear(), 3, 6.0)
    first = orthogonality(layer)
    with torch.no_grad():
        U, _, V = torch.linalg.svd(layer.linear.weight, full_matrices=False)
        layer.B.copy_(U[:, :3])
        layer.A.copy_(V[:3])
    torch.testing.assert_close(orthogonality(layer), torch.zeros(2), atol=1e-5, rtol=0)
    with torch.no_grad():
        layer.A[1] = layer.A[0]  # the same row twice: two entries of one off the diagonal
    torch.testing.assert_close(orthogonality(layer), torch.tensor([0.0, 2**0.5]), atol=1e-5, rtol=0)
    assert (first > 1).all()


def test_with_orthonormal_directions_the_numbers_are_singular_values():
    layer = SVDLinear(linear(), 3, 3.0)
    with torch.no_grad():
        U, _, V = torch.linalg.svd(layer.linear.weight, full_matrices=False)
        layer.B.copy_(U[:, :3]), layer.A.copy_(V[:3]), layer.E.copy_(torch.tensor([0.5, -3.0, 2.0]))
    torch.testing.assert_close(torch.linalg.svdvals(layer.delta())[:3], torch.tensor([3.0, 2.0, 0.5]))


def test_the_budget_falls_along_a_cubic():
    budget = Budget(steps=13, first=80, last=16, warmup=2, final=3)  # it falls during eight steps
    assert [ranks_left(step, budget) for step in range(13)] == [80, 80, 80, 58, 43, 31, 24, 19, 17, 16, 16, 16, 16]


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 60), st.integers(0, 20), st.integers(0, 20), st.integers(1, 50), st.integers(0, 50))
def test_a_budget_never_rises(falling, warmup, final, last, more):
    budget = Budget(falling + warmup + final, last + more, last, warmup, final)
    left = [ranks_left(step, budget) for step in range(budget.steps + 2)]
    assert left == sorted(left, reverse=True) and left[0] == last + more and left[-1] == last
    assert left[: warmup + 1] == [last + more] * (warmup + 1)


def test_running_means_by_hand():
    mean, spread = smooth(torch.tensor([1.0]), torch.tensor([0.5]), torch.tensor([3.0]), beta=0.5)
    assert (mean.item(), spread.item()) == (2.0, 0.75)  # the distance is taken to the new mean: |3 - 2|


def test_a_triplets_score_by_hand():
    P = torch.tensor([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0]])  # (O, r) = (3, 2)
    Q = torch.tensor([[1.0, 2.0, 3.0, 6.0], [0.0, 0.0, 4.0, 0.0]])  # (r, N) = (2, 4)
    assert triplet_scores(P, torch.tensor([100.0, 200.0]), Q).tolist() == [106.0, 231.0]


def test_the_best_of_all_layers_stay():
    kept = keep_best([torch.tensor([0.1, 5.0]), torch.tensor([4.0, 3.0, 0.2])], 3)
    assert [k.tolist() for k in kept] == [[False, True], [True, True, False]]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.integers(0, 5), max_size=4), min_size=1, max_size=5), st.integers(0, 20))
def test_exactly_the_budget_is_kept_even_among_equals(scores, budget):
    scores = [torch.tensor(s, dtype=torch.float32) for s in scores]
    kept, everything = keep_best(scores, budget), torch.cat(scores)
    assert [len(k) for k in kept] == [len(s) for s in scores]
    kept = torch.cat(kept)
    assert kept.sum() == min(budget, len(everything))
    assert not kept.any() or kept.all() or everything[kept].min() >= everything[~kept].max()


def test_scores_that_are_not_finite_choose_nothing():
    with pytest.raises(ValueError, match="scores must be finite, got nan or inf"):
        keep_best([torch.tensor([1.0, torch.nan])], 1)


def test_training_ends_with_the_budget_and_pruned_numbers_may_come_back_before():
    ours = model()
    allocator, left, alive = Allocator(ours, BUDGET), [], []
    for record in train(ours, lambda step: (IDS, MASK), Plan(14, 2e-2, 1, weight_decay=0.0), loss=loss_with_penalty):
        left.append(allocator.after(record["step"]))
        alive.append(torch.cat([layer.E != 0 for layer in triplets(ours).values()]))
    assert left == [56] * 4 + [46, 46, 34, 34, 29, 29, 28, 28, 28, 28]
    assert [int(a.sum()) for a in alive] == [56] * 4 + [46, 56, 34, 56, 29, 56, 28, 28, 28, 28]  # every second step
    assert len({int(k.sum()) for k in allocator.kept.values()}) > 2  # shared unevenly
    for a in alive[11:]:
        assert torch.equal(a, alive[10])


def test_scores_by_hand_over_three_steps():
    """One layer, gradients written by hand, and every entry's score computed alone."""
    layer, beta = SVDLinear(linear(3, 2), 2, 2.0), 0.6
    holder = torch.nn.ModuleDict({"only": layer})
    allocator, by_hand = Allocator(holder, Budget(9, 2, 1), beta), {part: [] for part in "BEA"}
    for step in range(3):
        for part in "BEA":
            w = getattr(layer, part)
            w.grad = draw(*w.shape, seed=step)
            with torch.no_grad():
                w += 0.1 * w.grad
            by_hand[part].append((w * w.grad).abs().detach())
        allocator.watch()
    score = {}
    for part, steps in by_hand.items():
        score[part] = torch.empty_like(steps[0])
        for place in np.ndindex(*steps[0].shape):
            mean = spread = 0.0
            for now in steps:
                mean = beta * mean + (1 - beta) * now[place].item()
                spread = beta * spread + (1 - beta) * abs(now[place].item() - mean)
            score[part][place] = mean * spread
    expected = [score["E"][i] + score["B"][:, i].sum() / 2 + score["A"][i].sum() / 3 for i in range(2)]
    torch.testing.assert_close(allocator.scores()["only"], torch.stack(expected))


def test_a_budget_that_does_not_fit_the_model():
    with pytest.raises(ValueError, match="begins with 50 ranks, the model has 56: first must be 56"):
        Allocator(model(), Budget(steps=14, first=50, last=28))
    with pytest.raises(ValueError, match="no adapter of the model is an SVDLinear"):
        Allocator(inject(talker(), 2, 2.0), BUDGET)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"first": 4, "last": 5}, "a budget falls, last must be from 1 to first"),
        ({"first": 4, "last": 0}, "a budget falls"),
        ({"first": 4, "last": 2, "warmup": 6, "final": 4}, "must leave steps for the budget to fall"),
        ({"first": 4, "last": 2, "every": 0}, "every at least 1"),
    ],
)
def test_a_budget_that_cannot_be(settings, said):
    with pytest.raises(ValueError, match=said):
        Budget(steps=10, **settings)


def test_no_gradient_to_look_at():
    with pytest.raises(ValueError, match=r"has no gradient: call after\(step\) when the step has been made"):
        Allocator(model(), BUDGET).after(0)


@pytest.mark.slow
def test_peft_keeps_the_same_ranks_after_the_same_updates():
    from peft import AdaLoraConfig

    ours, base = model(), talker()
    shared = {"init_r": 4, "target_r": 2, "tinit": 3, "tfinal": 3, "deltaT": 2, "total_step": 14}
    rest = {"lora_alpha": 6, "target_modules": "all-linear", "orth_reg_weight": 0.5, "task_type": "CAUSAL_LM"}
    hf = in_peft(base, AdaLoraConfig(**shared, **rest))  # without task_type its forward never adds the penalty
    pairs = [(layer, theirs(hf, name)) for name, layer in triplets(ours).items()]
    with torch.no_grad():
        for layer, peer in pairs:
            peer.lora_A.default.copy_(layer.A), peer.lora_B.default.copy_(layer.B)
    allocator, plan = Allocator(ours, BUDGET), Plan(14, 2e-2, 1, weight_decay=0.0)
    labels = IDS.masked_fill(~MASK, -100)
    mine = train(ours, lambda step: (IDS, MASK), plan, loss=loss_with_penalty)
    other = train(hf, lambda step: (IDS, MASK), plan, loss=lambda m, ids, mask: m(input_ids=ids, labels=labels).loss)
    for record, peer_record in zip(mine, other):
        allocator.after(record["step"])
        hf.base_model.update_and_allocate(record["step"])
        assert record["loss"] == pytest.approx(peer_record["loss"], abs=1e-4)
        for layer, peer in pairs:
            assert torch.equal(layer.E != 0, peer.lora_E.default[:, 0] != 0)
            torch.testing.assert_close(layer.delta(), peer.get_delta_weight("default"), atol=1e-5, rtol=1e-4)
