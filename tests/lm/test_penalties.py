"""Penalties against transformers' own, and against counting by hand."""

from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.penalties import frequency_penalty, no_repeat_ngram, repetition_penalty
from llmrl.seeds import rng

ROWS = st.lists(st.lists(st.integers(0, 5), min_size=7, max_size=7), min_size=1, max_size=3)


def scores(rows):
    return torch.randn(len(rows), 6, generator=rng(0, rows))


@settings(max_examples=40)
@given(ROWS, st.floats(0.5, 3))
def test_repetition_penalty_is_transformers(rows, theta):
    from transformers import RepetitionPenaltyLogitsProcessor

    ids, logits = torch.tensor(rows), scores(rows)
    theirs = RepetitionPenaltyLogitsProcessor(theta)(ids, logits.clone())
    assert torch.equal(repetition_penalty(logits, ids, theta), theirs)


@settings(max_examples=40)
@given(ROWS, st.integers(1, 8))
def test_no_repeat_ngram_is_transformers(rows, n):
    from transformers import NoRepeatNGramLogitsProcessor

    ids, logits = torch.tensor(rows), scores(rows)
    assert torch.equal(no_repeat_ngram(logits, ids, n), NoRepeatNGramLogitsProcessor(n)(ids, logits.clone()))


@settings(max_examples=40)
@given(ROWS, st.floats(-2, 2), st.floats(-2, 2))
def test_frequency_and_presence_are_counted(rows, frequency, presence):
    ids, logits = torch.tensor(rows), scores(rows)
    got = frequency_penalty(logits, ids, frequency, presence)
    for row, before, after in zip(rows, logits.tolist(), got.tolist()):
        for v, count in ((v, Counter(row)[v]) for v in range(6)):
            assert after[v] == pytest.approx(before[v] - frequency * count - presence * (count > 0), abs=1e-5)


def test_what_a_shift_of_all_scores_does():
    logits, ids = torch.tensor([[2.0, 1.0, -1.0]]), torch.tensor([[0, 0, 2]])
    subtracted = frequency_penalty(logits + 7, ids, 0.5, 0.2).softmax(-1)
    torch.testing.assert_close(subtracted, frequency_penalty(logits, ids, 0.5, 0.2).softmax(-1))
    divided = repetition_penalty(logits + 7, ids, 1.5).softmax(-1)
    assert (divided - repetition_penalty(logits, ids, 1.5).softmax(-1)).abs().max() > 0.1


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda z, ids: repetition_penalty(z, ids, 0), "theta must be above 0 and finite, got 0: 1 changes nothing"),
        (lambda z, ids: repetition_penalty(z, ids, float("nan")), "theta must be"),
        (lambda z, ids: frequency_penalty(z, ids, float("inf")), "frequency must be a finite number, got inf"),
        (lambda z, ids: frequency_penalty(z, ids, 0, float("nan")), "presence must be a finite number"),
        (lambda z, ids: no_repeat_ngram(z, ids, 0), "n must be a whole number of at least 1, got 0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(torch.zeros(1, 3), torch.tensor([[0]]))
