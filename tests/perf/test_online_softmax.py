"""A softmax in blocks is the softmax: any split, any order, any size of scores, and rows that see nothing."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.perf.online_softmax import State, combine, finish, nothing, state_of
from llmrl.seeds import rng

INF = torch.inf
some = st.floats(-1000, 1000) | st.just(-INF)
rows = st.lists(some, min_size=1, max_size=9)


def case(scores, width=3):
    """One row of scores with values of its own.  -> (1, S), (S, E)"""
    return torch.tensor([scores], dtype=torch.float64), torch.randn(
        len(scores), width, generator=rng(0, "v"), dtype=torch.float64
    )


def in_blocks(scores, v, cuts):
    """The states of the pieces between the cuts."""
    edges = [0, *sorted(set(cuts) - {0, scores.shape[1]}), scores.shape[1]]
    return [state_of(scores[:, a:b], v[a:b]) for a, b in zip(edges, edges[1:])]


def same(a, b):
    for x, y in zip(finish(a), finish(b)):
        torch.testing.assert_close(x, y, rtol=1e-12, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(rows, st.lists(st.integers(0, 9), max_size=4), st.randoms(use_true_random=False))
def test_any_split_in_any_order_is_the_softmax(scores, cuts, random):
    scores, v = case(scores)
    blocks = in_blocks(scores, v, [c for c in cuts if c < scores.shape[1]])
    random.shuffle(blocks)
    state = nothing((1,), 3, v)
    for block in blocks:
        state = combine(state, block)
    mixture, logsumexp = finish(state)
    expected = scores.softmax(-1) @ v if scores.max() > -INF else torch.zeros(1, 3, dtype=torch.float64)
    torch.testing.assert_close(mixture, expected, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(logsumexp, scores.logsumexp(-1))


@settings(max_examples=15, deadline=None)
@given(rows, rows, rows)
def test_blocks_may_be_joined_in_any_order_and_grouping(x, y, z):
    a, b, c = (state_of(*case(s)) for s in (x, y, z))
    same(combine(combine(a, b), c), combine(a, combine(b, c)))
    same(combine(a, b), combine(b, a))
    for before, after in zip(a, combine(a, nothing((1,), 3, a.o))):
        assert torch.equal(before, after)


def test_no_power_is_above_one_where_the_plain_formula_overflows():
    scores, v = torch.tensor([[1000.0, 999.0]]), torch.eye(2)
    assert (scores.exp() / scores.exp().sum()).isnan().all()
    assert state_of(scores, v).l.item() == pytest.approx(1 + torch.tensor(-1.0).exp().item())
    torch.testing.assert_close(finish(state_of(scores, v))[0], scores.softmax(-1))


def test_a_row_that_saw_nothing_finds_zero_and_torch_says_so_too():
    scores, v = torch.tensor([[-INF, -INF], [0.0, 0.0]]), torch.tensor([[2.0], [4.0]])
    mixture, logsumexp = finish(combine(state_of(scores, v), nothing((2,), 1, v)))
    assert mixture.tolist() == [[0.0], [3.0]]
    assert logsumexp.tolist() == [-INF, pytest.approx(0.6931472)]
    shown = torch.tensor([[False, False], [True, True]])
    theirs = torch.nn.functional.scaled_dot_product_attention(torch.zeros(2, 1), torch.zeros(2, 1), v, attn_mask=shown)
    assert torch.equal(mixture, theirs)


WRONG = {
    "o is not brought to the new maximum": lambda a, b: State(combine(a, b).m, combine(a, b).l, a.o + b.o),
    "l is not brought to the new maximum": lambda a, b: State(combine(a, b).m, a.l + b.l, combine(a, b).o),
    "the mean of the mixtures": lambda a, b: combine(a, b)._replace(
        o=(a.o / a.l[..., None] + b.o / b.l[..., None]) / 2 * combine(a, b).l[..., None]
    ),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_join_that_forgets_the_maximum_is_caught(wrong):
    scores, v = case([0.0, 1.0, 3.0])
    a, b = in_blocks(scores, v, [1])
    with pytest.raises(AssertionError):
        same(wrong(a, b), state_of(scores, v))
