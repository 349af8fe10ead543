"""The balancing loss equals transformers', its gradient is what the formula says, and its lower bound is not one."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.balance import admitted, effective, least, load_balance, places, shares, steer
from llmrl.lm.moe import Routing
from llmrl.seeds import rng


def logits(*shape, seed=0):
    return torch.randn(shape, generator=rng(seed, "logits"))


def one_sided(sure, experts=4):
    """Everybody prefers expert 0, this much."""
    return torch.tensor([[sure] + [0.0] * (experts - 1)] * 8)


def test_by_hand():
    table = torch.tensor([[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]).log()
    f, p = [2 / 4, 1 / 4, 1 / 4], [1.4 / 4, 1.5 / 4, 1.1 / 4]
    assert load_balance(table, 1).item() == pytest.approx(3 * sum(a * b for a, b in zip(f, p)))
    assert load_balance(one_sided(50.0), 1).item() == pytest.approx(4), "one expert has everything"


@pytest.mark.parametrize("k", [1, 2, 3])
def test_transformers_counts_choices_per_token(k):
    """Theirs is k times ours: f there sums to k. Over several layers theirs mixes the layers before it multiplies."""
    from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

    z, mask = logits(3, 7, 6), torch.rand(3, 7, generator=rng(1)) > 0.4
    theirs = load_balancing_loss_func((z.view(21, 6),), 6, k)
    torch.testing.assert_close(k * load_balance(z, k), theirs, rtol=0, atol=1e-5)
    theirs = load_balancing_loss_func((z.view(21, 6),), 6, k, mask)
    torch.testing.assert_close(k * load_balance(z, k, mask), theirs, rtol=0, atol=1e-5)


def test_padding_does_not_count_even_when_it_holds_nan():
    z, mask = logits(5, 4), torch.tensor([True, False, True, True, False])
    broken = z.clone()
    broken[~mask] = 9.0
    assert torch.equal(load_balance(broken, 1, mask), load_balance(z[mask], 1))


def test_the_gradient_goes_through_the_probabilities():
    z = logits(6, 4).double().requires_grad_()
    (slope,) = torch.autograd.grad(load_balance(z, 2), z)
    p, f = z.softmax(-1), shares(z.topk(2).indices, 4).double()
    torch.testing.assert_close(slope, 4 / 6 * p * (f - (p @ f)[:, None]))


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(0, 99))
def test_one_if_probabilities_or_choices_are_equal(experts, rounds, seed):
    assert load_balance(torch.zeros(rounds, experts), 1).item() == pytest.approx(1)
    turns = torch.stack([logits(experts, seed=seed).sort().values.roll(i) for i in range(experts)])
    assert load_balance(turns.repeat(rounds, 1), 1).item() == pytest.approx(1)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 999))
def test_never_below_the_least_for_its_counts(experts, tokens, seed):
    z = logits(tokens, experts, seed=seed) * (seed % 7)
    counts = z.softmax(-1).topk(1).indices.flatten().bincount(minlength=experts).tolist()
    assert least(counts) - 1e-5 <= load_balance(z, 1).item() <= experts + 1e-5


@pytest.mark.parametrize("counts", [(3, 1), (0, 2, 2), (1, 0, 5), (1, 2, 3, 4), (0, 0, 0, 1, 1, 2)])
def test_the_least_is_approached(counts):
    """Of all even splits that a token's own expert has part in; a touch more on it makes the choice plain."""
    f, E, rows = [c / sum(counts) for c in counts], len(counts), []
    for own, count in enumerate(counts):
        splits = [s for s in itertools.product((0.0, 1.0), repeat=E) if s[own]]
        p = list(min(splits, key=lambda s: sum(a * b for a, b in zip(s, f)) / sum(s)))
        p[own] += 1e-4
        rows += [[x / sum(p) for x in p]] * count
    z = torch.tensor(rows, dtype=torch.double).clamp(min=1e-12).log()
    assert load_balance(z, 1).item() == pytest.approx(least(counts), abs=1e-3)


@pytest.mark.parametrize(("experts", "lowest"), [(2, 7 / 8), (3, 3 / 4), (4, 2 / 3), (5, 5 / 9), (6, 1 / 2)])
def test_over_all_counts_the_least_is_far_below_one(experts, lowest):
    tokens = 16 if experts == 2 else 12
    first = (c for c in itertools.product(range(tokens + 1), repeat=experts - 1) if sum(c) <= tokens)
    assert min(least([*c, tokens - sum(c)]) for c in first) == pytest.approx(lowest)
    assert least([1] * experts) == pytest.approx(1)


def test_shares_and_steering():
    chosen = torch.tensor([[0, 1], [0, 2], [0, 1]])
    assert torch.equal(shares(chosen, 4), torch.tensor([3, 2, 1, 0]) / 6)
    assert torch.equal(shares(chosen, 4, torch.tensor([False, True, False])), torch.tensor([1, 0, 1, 0]) / 2)
    assert torch.equal(
        steer(torch.zeros(4), torch.tensor([0.5, 0.25, 0.25, 0.0]), 0.1), torch.tensor([-0.1, 0, 0, 0.1])
    )


def test_effective_number():
    loads = torch.tensor([[0.25] * 4, [0.5, 0.5, 0, 0], [0, 1.0, 0, 0]])
    torch.testing.assert_close(effective(loads), torch.tensor([4.0, 2.0, 1.0]))


def test_first_choices_find_a_place_before_second_ones():
    chosen = torch.tensor([[0, 1], [1, 0], [0, 1], [0, 2]])
    wanted = [[True, True], [True, False], [True, False], [False, True]]
    assert admitted(chosen, 3, 2).tolist() == wanted
    assert places(10, Routing(4, 2, capacity=1.25)) == 7 and places(10, Routing(4, 2)) == math.inf


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 5), st.integers(0, 9), st.integers(0, 9), st.integers(0, 99))
def test_nobody_gets_more_than_the_places(experts, tokens, room, seed):
    chosen = logits(tokens, experts, seed=seed).topk(1 + seed % experts).indices
    kept = admitted(chosen, experts, room)
    asked, found = (torch.bincount(x, minlength=experts) for x in (chosen.flatten(), chosen[kept]))
    assert torch.equal(found, asked.clamp(max=room))


@settings(deadline=None)
@given(st.one_of(st.integers(-3, 0), st.integers(4, 99), st.floats(), st.none()))
def test_k_between_one_and_all(k):
    with pytest.raises(ValueError, match="k must be a whole number from 1 to the number of experts, 3, got"):
        load_balance(torch.zeros(2, 3), k)


@pytest.mark.parametrize("call", [
    lambda: load_balance(torch.zeros(2, 3), 1, torch.zeros(2, dtype=torch.bool)),
    lambda: load_balance(torch.zeros(0, 3), 1),
])  # fmt: skip
def test_nothing_but_padding(call):
    with pytest.raises(ValueError, match="there must be at least one token that is not padding"):
        call()


@pytest.mark.parametrize("mask", [torch.ones(2), torch.ones(3, dtype=torch.bool), torch.ones(2, 3, dtype=torch.bool)])
def test_a_mask_that_is_none(mask):
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2,\), one entry per token"):
        load_balance(torch.zeros(2, 3), 1, mask)
