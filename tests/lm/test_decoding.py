"""Decoding, by exact enumeration and against transformers' filters."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.decoding import Sampling, draw, greedy, sample, top_k_filter, top_p_filter
from llmrl.seeds import rng

LOGITS = torch.tensor([[0.5, 0.3, 0.15, 0.05], [0.05, 0.15, 0.3, 0.5]]).log()


def kept(logits):
    return (logits > -torch.inf).tolist()


def test_top_k_keeps_the_best_of_every_row():
    assert kept(top_k_filter(LOGITS, 2)) == [[True, True, False, False], [False, False, True, True]]


@pytest.mark.parametrize("p, best", [(0.05, 1), (0.5, 1), (0.51, 2), (0.79, 2), (0.94, 3), (0.96, 4), (1.0, 4)])
def test_top_p_keeps_the_smallest_set_that_reaches_p(p, best):
    assert kept(top_p_filter(LOGITS.double(), p))[0] == [i < best for i in range(4)]
    assert kept(top_p_filter(LOGITS.double(), p))[1] == [i >= 4 - best for i in range(4)]


@given(st.integers(0, 1000), st.integers(1, 30), st.floats(0.01, 1.0))
def test_filters_agree_with_transformers(seed, k, p):
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(3, 20, generator=rng(seed), dtype=torch.double)
    assert kept(top_k_filter(logits, k)) == kept(TopKLogitsWarper(k)(None, logits))
    assert kept(top_p_filter(logits, p)) == kept(TopPLogitsWarper(p)(None, logits))


def test_filters_leave_the_scores_they_keep_alone():
    for filtered in (top_k_filter(LOGITS, 2), top_p_filter(LOGITS, 0.7)):
        left = filtered > -torch.inf
        assert torch.equal(filtered[left], LOGITS[left])


def test_draw_gives_every_token_its_share():
    """Exact: on an even grid of dice, token i comes up in proportion to its probability."""
    p = torch.tensor([0.1, 0.0, 0.25, 0.65], dtype=torch.double)
    dice = (torch.arange(1000, dtype=torch.double) + 0.5) / 1000
    tokens = draw(p.expand(1000, 4), dice)
    assert torch.bincount(tokens, minlength=4).tolist() == [100, 0, 250, 650]


WEIGHTS = st.sampled_from([0.0, 1e-300, 1e-17, 0.3, 1.0])
DICE = st.floats(0, 1, exclude_max=True)


@given(st.lists(WEIGHTS, min_size=1, max_size=6), DICE)
def test_draw_never_takes_what_is_impossible(weights, dice):
    if sum(weights) > 0:
        p = torch.tensor([weights], dtype=torch.double) / sum(weights)
        token = int(draw(p, torch.tensor([dice], dtype=torch.double)))
        assert token < len(weights) and p[0, token] > 0


def test_draw_at_the_ends_of_the_dice():
    p, last = torch.tensor([[0.0, 0.5, 0.5, 0.0]], dtype=torch.double), 1 - 2**-53
    assert draw(p, torch.tensor([0.0], dtype=torch.double)) == 1
    assert draw(p, torch.tensor([last], dtype=torch.double)) == 2


@given(st.floats(0.0, 5.0), st.integers(0, 5), st.floats(0.05, 1.0), DICE)
def test_a_choice_is_always_one_that_the_filters_keep(temperature, k, p, dice):
    token = Sampling(temperature, k, p).choose(LOGITS[:1], torch.tensor([dice], dtype=torch.double))
    assert LOGITS[0, token] >= LOGITS[0].sort(descending=True).values[(k or 4) - 1 if k < 4 else 3]


def test_temperature_sharpens_and_flattens_exactly():
    grid = (torch.arange(10000, dtype=torch.double) + 0.5) / 10000
    for temperature in (0.5, 1.0, 2.0):
        tokens = Sampling(temperature).choose(LOGITS[:1].expand(10000, 4), grid)
        expected = (LOGITS[0].double() / temperature).softmax(-1)
        torch.testing.assert_close(torch.bincount(tokens) / 10000, expected.float(), atol=2e-4, rtol=0)


def test_a_temperature_near_zero_is_greedy():
    assert Sampling(5e-324).choose(LOGITS, torch.tensor([0.0, 0.999], dtype=torch.double)).tolist() == [0, 3]


def counting(ids):
    """A model that says the next number, and after 4 starts again."""
    return torch.nn.functional.one_hot((ids + 1) % 5, 5).float()


def test_greedy_continues_with_the_best_token():
    assert greedy(counting, torch.tensor([[0, 1], [3, 4]]), 4).tolist() == [[0, 1, 2, 3, 4, 0], [3, 4, 0, 1, 2, 3]]


@pytest.mark.parametrize("ids", [[[0]], torch.tensor([0]), torch.zeros(1, 0, dtype=torch.long), torch.tensor([[0.0]])])
def test_ids_are_a_tensor_of_rows(ids):
    with pytest.raises(TypeError, match="ids must be a torch.long tensor of shape .B, T. with at least one token"):
        greedy(counting, ids, 1)


def test_sample_follows_the_model_and_its_own_stream():
    def model(ids):
        return LOGITS[:1].expand(*ids.shape, 4)

    ids = torch.zeros(200, 1, dtype=torch.long)
    texts = sample(model, ids, 20, generator=rng(0, "a"))
    assert torch.equal(texts, sample(model, ids, 20, generator=rng(0, "a")))
    assert not torch.equal(texts, sample(model, ids, 20, generator=rng(0, "b")))
    shares = torch.bincount(texts[:, 1:].flatten(), minlength=4) / 4000
    spread = (LOGITS[0].exp() * (1 - LOGITS[0].exp()) / 4000).sqrt()
    assert ((shares - LOGITS[0].exp()).abs() < 5 * spread).all()


def test_the_first_row_draws_the_same_alone():
    together, alone = Sampling(1.0).dice(9, 7, rng(0)), Sampling(1.0).dice(1, 7, rng(0))
    assert torch.equal(together[:1], alone)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: top_k_filter(LOGITS, -1), "top_k must be a whole number of at least 0, got -1: 0 keeps every token"),
        (lambda: top_k_filter(LOGITS, 1.5), "top_k must be a whole number"),
        (lambda: top_p_filter(LOGITS, 0.0), "top_p must be in .0, 1., got 0.0: 1 keeps every token"),
        (lambda: top_p_filter(LOGITS, 1.1), "top_p must be in .0, 1., got 1.1"),
        (lambda: top_p_filter(LOGITS, float("nan")), "top_p must be in"),
        (lambda: Sampling(-0.1), "temperature must be at least 0 and finite, got -0.1: 0 takes the best token"),
        (lambda: Sampling(float("nan")), "temperature must be at least 0"),
        (lambda: Sampling(1.0, -2), "top_k must be"),
        (lambda: Sampling(1.0, 0, 2.0), "top_p must be"),
        (lambda: greedy(counting, torch.tensor([[0]]), -3), "max_new must be a whole number of at least 1, got -3"),
        (lambda: greedy(counting, torch.tensor([[0]]), 0), "max_new must be a whole number of at least 1, got 0"),
        (lambda: sample(counting, torch.tensor([[0]]), 1), "generator is None: pass generator=llmrl.seeds.rng"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
