"""Count models against counting in plain Python, and against what a probability has to be."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.ngram import NGram, entropy
from llmrl.seeds import rng

V = 4
TEXT = torch.randint(V, (5, 12), generator=rng(0, "text"))
rows = st.lists(st.lists(st.integers(0, V - 1), min_size=6, max_size=6), min_size=1, max_size=4).map(torch.tensor)


def by_hand(ids, order):
    """The conditional entropy, run by run."""
    runs = Counter(tuple(row[i : i + order]) for row in ids.tolist() for i in range(len(row) - order + 1))
    contexts = Counter()
    for run, n in runs.items():
        contexts[run[:-1]] += n
    return -sum(n * math.log(n / contexts[run[:-1]]) for run, n in runs.items()) / sum(runs.values())


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_entropy_is_that_of_plain_counting(order):
    assert entropy(TEXT, V, order) == pytest.approx(by_hand(TEXT, order), abs=1e-12)


def test_entropy_of_what_is_known():
    assert entropy(torch.arange(V)[None], V) == pytest.approx(math.log(V))
    assert entropy(torch.zeros(1, 9, dtype=torch.long), V) == 0
    there_and_back = torch.tensor([[0, 1] * 8])
    assert entropy(there_and_back, V) == pytest.approx(math.log(2))
    assert entropy(there_and_back, V, 2) == pytest.approx(0, abs=1e-12)


@given(rows)
def test_entropy_is_torchs_and_a_longer_context_knows_no_less(ids):
    frequencies = torch.bincount(ids.flatten(), minlength=V).double() / ids.numel()
    assert entropy(ids, V) == pytest.approx(torch.distributions.Categorical(frequencies).entropy().item(), abs=1e-6)
    assert 0 <= entropy(ids, V) <= math.log(V) + 1e-9


def followers(model, context):
    """The probability of every token after a context, from the model's public face."""
    ids = torch.tensor([[*context, y] for y in range(V)])
    return model.logp(ids)[:, -1].exp()


@given(rows, st.integers(1, 4), st.floats(0.01, 50), st.lists(st.integers(0, V - 1), min_size=1, max_size=5))
def test_probabilities_are_positive_and_sum_to_one(ids, order, strength, context):
    p = followers(NGram(ids, V, order, strength), context)
    assert (p > 0).all() and p.sum().item() == pytest.approx(1)


def test_a_bigram_by_hand():
    model = NGram(torch.tensor([[0, 1, 0, 2, 0]]), V, order=2, strength=2.0)
    unigram = [(n + 2 / V) / (5 + 2) for n in (3, 1, 1, 0)]
    after_zero = [(n + 2 * p) / (2 + 2) for n, p in zip((0, 1, 1, 0), unigram)]
    assert followers(model, [0]).tolist() == pytest.approx(after_zero)
    assert followers(model, [3]).tolist() == pytest.approx(unigram)  # never seen: what the shorter context says


def test_a_higher_order_never_forgets_the_short_contexts_of_a_rows_beginning():
    short, long = NGram(TEXT, V, 2), NGram(TEXT, V, 4)
    torch.testing.assert_close(short.logp(TEXT)[:, 0], long.logp(TEXT)[:, 0])


def test_with_little_smoothing_the_mean_logp_is_the_entropy_of_what_was_counted():
    ring = TEXT.reshape(1, -1)
    pairs = NGram(ring, V, 2, strength=1e-9).logp(ring)
    assert -pairs.mean().item() == pytest.approx(entropy(ring, V, 2), abs=1e-6)


def test_rows_do_not_run_into_each_other():
    model = NGram(torch.tensor([[0, 0], [1, 1]]), V, 2, strength=0.01)
    assert followers(model, [0])[1] < 0.01  # 0 then 1 stands only across the rows


@pytest.mark.parametrize("order", [0, -1, 1.5, True, 40])
def test_an_order_that_cannot_be(order):
    with pytest.raises(ValueError, match="order must be a whole number"):
        NGram(TEXT, V, order)


def test_other_bad_input():
    with pytest.raises(ValueError, match="strength must be above 0, got 0"):
        NGram(TEXT, V, 2, 0)
    with pytest.raises(ValueError, match="rows of 12 tokens hold no run of 13"):
        entropy(TEXT, V, 13)
    with pytest.raises(ValueError, match=r"ids must be in \[0, 3\)"):
        entropy(TEXT.clamp(min=3), 3)
    with pytest.raises(TypeError, match="ids must be a torch.long tensor"):
        NGram([[1, 2]], V)
