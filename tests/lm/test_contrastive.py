"""Contrastive search against a plain search without a cache, candidate by candidate."""

import pytest
import torch
from lively import lively, some_ids

from llmrl.lm.contrastive import closest, contrastive_score, contrastive_search
from llmrl.lm.decoding import greedy
from llmrl.lm.repetition import repeated

MODEL = lively()


def by_hand(ids, max_new, k, alpha):
    """One text, everything computed anew for every candidate, cosines with plain sums."""
    for _ in range(max_new):
        p = MODEL(torch.tensor([ids]))[0, -1].softmax(-1)
        best = (-float("inf"), None)
        for token in sorted(range(40), key=lambda v: -p[v].item())[:k]:
            *past, last = MODEL.hidden(torch.tensor([[*ids, token]]))[0]
            cosine = max(float((last * h).sum() / (last * last).sum().sqrt() / (h * h).sum().sqrt()) for h in past)
            best = max(best, ((1 - alpha) * float(p[token]) - alpha * cosine, token))
        ids = [*ids, best[1]]
    return ids


@pytest.mark.parametrize("k, alpha", [(1, 0.6), (3, 0.3), (5, 0.6), (4, 1.0)])
def test_each_token_is_the_best_candidate(k, alpha):
    with torch.no_grad():
        ids = some_ids(3, 5)
        out = contrastive_search(MODEL, ids, 8, k, alpha)
        assert out.tolist() == [by_hand(row, 8, k, alpha) for row in ids.tolist()]


def test_without_fine_or_choice_it_is_greedy():
    ids = some_ids(3, 5)
    for k, alpha in ((1, 0.6), (5, 0.0)):
        assert torch.equal(contrastive_search(MODEL, ids, 9, k, alpha), greedy(MODEL, ids, 9))


def test_the_nearest_of_the_past_counts_not_the_mean_or_the_last():
    candidates = torch.tensor([[[2.0, 0.0], [1.0, 1.0]]])
    past = torch.tensor([[[3.0, 0.0], [0.0, -5.0]]])
    torch.testing.assert_close(closest(candidates, past), torch.tensor([[1.0, 0.5**0.5]]))
    score = contrastive_score(torch.tensor([[0.9, 0.1]]), closest(candidates, past), 0.5)
    torch.testing.assert_close(score, torch.tensor([[-0.05, 0.05 - 0.5 * 0.5**0.5]]))


@pytest.mark.parametrize(
    "ids, n, share", [([1, 2, 3], 1, 0), ([1, 1, 1, 1], 1, 0.75), ([1, 2, 1, 2, 1], 2, 0.5), ([1, 2, 1, 2, 1], 5, 0)]
)
def test_repeats_are_counted(ids, n, share):
    assert repeated(ids, n) == share


@pytest.mark.parametrize(
    "call, message",
    [
        (
            lambda: contrastive_search(MODEL, some_ids(), 2, k=0),
            "k must be a whole number from 1 to the vocabulary, 40, got 0",
        ),
        (lambda: contrastive_search(MODEL, some_ids(), 2, k=41), "got 41"),
        (lambda: contrastive_search(MODEL, some_ids(), 2, alpha=1.1), r"alpha must be in \[0, 1\], got 1.1"),
        (lambda: contrastive_search(MODEL, some_ids(), 22), "do not fit in a context of 32: set max_new to 21"),
        (lambda: contrastive_search(MODEL, some_ids(), 0), "max_new must be"),
        (lambda: repeated([1, 2], 3), "n must be a whole number from 1 to the 2 tokens of the text, got 3"),
        (lambda: repeated([], 1), "0 tokens"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
