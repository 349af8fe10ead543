"""Exact search against itertools, and pruned search against exhaustive."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import lively

from llmrl.lm.decoding import beam, greedy
from llmrl.lm.exhaustive import exhaustive, pruned, text_logp
from llmrl.lm.model import Config
from llmrl.seeds import rng

TINY = Config(vocab=5, width=8, layers=1, heads=2, kv_heads=1, ffn=8, context=16)


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_every_text_is_there_with_its_probability(seed, max_new):
    model, ids = lively(TINY, seed), torch.tensor([[3, 1]])
    texts, logp = exhaustive(model, ids, max_new)
    every = {(3, 1, *new) for new in itertools.product(range(5), repeat=max_new)}
    assert {tuple(text) for text in texts.tolist()} == every and len(texts) == 5**max_new
    torch.testing.assert_close(logp, text_logp(model, texts, max_new), atol=1e-4, rtol=0)
    torch.testing.assert_close(logp.exp().sum(), torch.tensor(1.0))
    assert (logp.diff() <= 0).all()


@given(st.integers(0, 10**6), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_what_is_dropped_could_not_win(seed, max_new):
    model, ids = lively(TINY, seed), torch.tensor([[0]])
    texts, logp = exhaustive(model, ids, max_new)
    few, some = pruned(model, ids, max_new)
    assert torch.equal(few[0], texts[0]) and torch.equal(few, texts[: len(few)])
    torch.testing.assert_close(some, logp[: len(few)], atol=1e-5, rtol=0)
    least = text_logp(model, greedy(model, ids, max_new), max_new)
    assert (some >= least - 2e-4).all() and len(few) <= (1e-3 - least).exp()


@given(st.integers(0, 10**6), st.integers(1, 5))
@settings(max_examples=25, deadline=None)
def test_no_search_finds_more_than_there_is(seed, width):
    model, ids = lively(TINY, seed), torch.tensor([[2, 4]])
    best = exhaustive(model, ids, 3)[1][0]
    found = text_logp(model, beam(model, ids, 3, width), 3)
    assert found <= best + 1e-4


def test_the_beam_meets_exhaustive_at_full_width():
    """Three steps over two possible tokens: four beginnings are all there are."""
    whole = lively(TINY)

    def model(ids):
        return whole(ids).index_fill(-1, torch.tensor([0, 2, 4]), -torch.inf)

    texts, logp = exhaustive(model, torch.tensor([[1]]), 3)
    assert len(texts) == 8 and torch.equal(beam(model, torch.tensor([[1]]), 3, 4)[0], texts[0])
    torch.testing.assert_close(logp.exp().sum(), torch.tensor(1.0))


def test_texts_are_read_in_batches(monkeypatch):
    import llmrl.lm.exhaustive as module

    model, ids = lively(TINY), torch.tensor([[1]])
    whole = exhaustive(model, ids, 3)
    monkeypatch.setattr(module, "AT_ONCE", 7)
    for a, b in zip(whole, exhaustive(model, ids, 3)):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda m: exhaustive(m, torch.tensor([[1]]), 8), ValueError, "5 tokens and 8 steps make 390,625 texts"),
        (lambda m: exhaustive(m, torch.tensor([[1], [2]]), 1), ValueError, "one text of shape .1, T., got .2, 1."),
        (lambda m: pruned(m, torch.tensor([[1], [2]]), 1), ValueError, "call once per text"),
        (lambda m: pruned(m, [[1]], 1), TypeError, "ids must be a torch.long tensor"),
        (lambda m: exhaustive(m, torch.tensor([[1]]), 0), ValueError, "max_new must be a whole number"),
        (lambda m: exhaustive(m, torch.ones(1, 17, dtype=torch.long), 1), ValueError, "a text of 17 tokens does not"),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(lively(TINY))


def test_a_search_that_would_not_end_says_so():
    flat = lively(Config(vocab=600, width=8, layers=1, heads=2, kv_heads=1, ffn=8, context=16))
    with torch.no_grad():
        flat.embed.weight.mul_(1e-6)
    with pytest.raises(ValueError, match="texts to follow, 262,144 are the most.*`pruned` drops"):
        pruned(flat, torch.randint(600, (1, 2), generator=rng(0)), 2)
