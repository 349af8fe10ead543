"""Decoding, by exact enumeration and against transformers' filters."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively

from llmrl.lm.decoding import (
    Sampling,
    beam,
    beam_step,
    draw,
    greedy,
    min_p_filter,
    sample,
    temper,
    top_k_filter,
    top_p_filter,
)
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
    from transformers import MinPLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits = torch.randn(3, 20, generator=rng(seed), dtype=torch.double)
    assert kept(top_k_filter(logits, k)) == kept(TopKLogitsWarper(k)(None, logits))
    assert kept(top_p_filter(logits, p)) == kept(TopPLogitsWarper(p)(None, logits))
    assert kept(min_p_filter(logits, p)) == kept(MinPLogitsWarper(p)(None, logits))


WHOLE = st.lists(st.integers(1, 40), min_size=2, max_size=8)  # weights: their sums hit many p exactly


@given(WHOLE, st.integers(1, 8), st.sampled_from([torch.float32, torch.float64]))
def test_where_the_sum_meets_p_exactly_top_p_rounds_as_transformers_does(weights, best, dtype):
    from transformers import TopPLogitsWarper

    p = sum(sorted(weights, reverse=True)[:best]) / sum(weights)
    logits = torch.tensor([weights], dtype=torch.double).log().to(dtype)
    assert kept(top_p_filter(logits, p)) == kept(TopPLogitsWarper(p)(None, logits))


def test_top_p_keeps_the_fewest_in_single_precision_too():
    """0.7, 0.16 and 0.1 reach 0.96; taking 0.04 from the sum of all four would round to less."""
    logits = torch.tensor([0.04, 0.16, 0.7, 0.1]).log()
    assert kept(top_p_filter(logits, 0.96)) == [False, True, True, True]
    assert kept(top_p_filter(logits, 1e-30)) == [False, False, True, False]


SCORES = st.lists(st.floats(-20, 20), min_size=1, max_size=8)


@given(SCORES, st.integers(1, 10))
def test_top_k_keeps_k_and_ties(scores, k):
    logits = torch.tensor([scores], dtype=torch.double)
    last = sorted(scores, reverse=True)[min(k, len(scores)) - 1]
    assert kept(top_k_filter(logits, k)) == [[x >= last for x in scores]]


@given(SCORES, st.floats(0.01, 1.0))
def test_top_p_keeps_the_smallest_of_all_sets_that_reach_p(scores, p):
    """Against every subset there is."""
    logits = torch.tensor(scores, dtype=torch.double)
    chosen = top_p_filter(logits, p) > -torch.inf
    sets = torch.tensor(list(itertools.product((False, True), repeat=len(scores))))  # (2^V, V)
    mass = (sets * logits.softmax(-1)).sum(-1)
    assert mass[(sets == chosen).all(-1)] >= p - 1e-9
    assert not (mass[sets.sum(-1) < chosen.sum()] >= p + 1e-9).any()
    if not chosen.all():  # a difference that softmax rounds away is none
        assert logits[chosen].min() >= logits[~chosen].max() - 1e-9


@given(SCORES, st.floats(0.0, 1.0))
def test_min_p_keeps_what_is_near_the_best(scores, p):
    logits = torch.tensor(scores, dtype=torch.double)
    ratio = (logits - logits.max()).exp()
    kept_ones = min_p_filter(logits, p) > -torch.inf
    assert kept_ones[logits.argmax()]
    assert (ratio[kept_ones] >= p - 1e-9).all() and (ratio[~kept_ones] <= p + 1e-9).all()


@given(SCORES, st.floats(1e-3, 1e3))
def test_a_tempered_softmax_is_the_power_of_the_probabilities(scores, temperature):
    logits = torch.tensor(scores, dtype=torch.double)
    power = (logits.log_softmax(-1) / temperature).log_softmax(-1)
    torch.testing.assert_close(temper(logits, temperature).log_softmax(-1), power)
    assert temper(logits, temperature).max() == 0


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
        (lambda: top_k_filter(LOGITS, 0), "k must be a whole number of at least 1, got 0: 1 keeps the best token"),
        (lambda: top_k_filter(LOGITS, 1.5), "k must be a whole number"),
        (lambda: top_k_filter(LOGITS, True), "k must be a whole number"),
        (lambda: top_p_filter(LOGITS, 0.0), "top_p must be in .0, 1., got 0.0: 1 keeps every token"),
        (lambda: top_p_filter(LOGITS, 1.1), "top_p must be in .0, 1., got 1.1"),
        (lambda: top_p_filter(LOGITS, float("nan")), "top_p must be in"),
        (lambda: Sampling(-0.1), "temperature must be at least 0 and finite, got -0.1: 0 takes the best token"),
        (lambda: Sampling(float("nan")), "temperature must be at least 0"),
        (lambda: min_p_filter(LOGITS, -0.1), "min_p must be in .0, 1., got -0.1: 0 keeps every token"),
        (lambda: min_p_filter(LOGITS, float("nan")), "min_p must be in"),
        (lambda: temper(LOGITS, 0.0), "temperature must be above 0 and finite, got 0.0"),
        (lambda: Sampling(1.0, -2), "k must be a whole number of at least 1, got -2"),
        (lambda: Sampling(1.0, 0, 2.0), "top_p must be"),
        (lambda: Sampling(1.0, min_p=2.0), "min_p must be"),
        (lambda: beam(counting, torch.tensor([[0]]), 1, 0), "width must be a whole number of at least 1, got 0"),
        (lambda: beam(counting, torch.tensor([[0]]), 1, 2.0), "width must be a whole number"),
        (lambda: beam(counting, torch.tensor([[0]]), 2, 6), "width must be at most the vocabulary, 5, got 6"),
        (lambda: beam(counting, torch.tensor([[0]]), 0, 2), "max_new must be"),
        (lambda: greedy(counting, torch.tensor([[0]]), -3), "max_new must be a whole number of at least 1, got -3"),
        (lambda: greedy(counting, torch.tensor([[0]]), 0), "max_new must be a whole number of at least 1, got 0"),
        (lambda: sample(counting, torch.tensor([[0]]), 1), "generator is None: pass generator=llmrl.seeds.rng"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def table(seed, V=4, T=6):
    """A model whose scores after a text depend on all of it: every text of up to T tokens has scores of its own."""
    scores = 2 * torch.randn(V**T, V, generator=rng(seed, "table"))

    def model(ids):
        place = (ids * V ** torch.arange(ids.shape[1])).cumsum(1)  # (B, T): the text so far, read as a number
        return scores[(place * 7919 + torch.arange(ids.shape[1]) * 104729) % len(scores)]

    return model


def logp_of(model, ids, new):
    logp = model(ids)[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).squeeze(-1)
    return logp[:, -new:].sum(-1)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(1, 4))
def test_a_beam_keeps_the_best_of_all_its_continuations(seed, width, max_new):
    """Against a search written with lists: expand, sort, cut."""
    model, ids = table(seed), torch.tensor([[0, 1], [2, 3]])
    for row, found in zip(ids.tolist(), beam(model, ids, max_new, width)):
        kept_texts = [row]
        for _ in range(max_new):
            longer = [text + [v] for text in kept_texts for v in range(4)]
            score = logp_of(model, torch.tensor(longer), len(longer[0]) - 2)
            kept_texts = [longer[i] for i in score.argsort(descending=True)[:width]]
        assert found.tolist() == kept_texts[0]


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_a_beam_of_one_is_greedy(seed, max_new):
    model, ids = table(seed), torch.tensor([[0, 1], [2, 3], [3, 3]])
    assert torch.equal(beam(model, ids, max_new, 1), greedy(model, ids, max_new))


@given(st.integers(0, 10**6))
def test_two_steps_with_a_beam_of_the_whole_vocabulary_miss_nothing(seed):
    model, ids = table(seed), torch.tensor([[1]])
    texts = torch.tensor([[1, a, b] for a in range(4) for b in range(4)])
    best = texts[logp_of(model, texts, 2).argmax()]
    assert beam(model, ids, 2, 4)[0].tolist() == best.tolist()


def test_a_beam_may_miss_and_a_wider_one_may_find_less():
    """Beam search is a heuristic: over two hundred models both happen."""
    better = worse = 0
    for seed in range(200):
        model, ids = table(seed), torch.tensor([[1]])
        one, two = (logp_of(model, beam(model, ids, 5, width), 5).item() for width in (1, 2))
        better, worse = better + (two > one + 1e-5), worse + (two < one - 1e-5)
    assert better > 40 and 1 <= worse < 10


def test_a_beam_step_by_hand():
    score = torch.tensor([[0.6, 0.4]]).log()
    logp = torch.tensor([[[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]]).log()
    best, parent, token = beam_step(score, logp, 3)
    torch.testing.assert_close(best.exp(), torch.tensor([[0.36, 0.30, 0.18]]))
    assert (parent.tolist(), token.tolist()) == ([[1, 0, 0]], [[0, 0, 1]])
    assert [x.shape for x in beam_step(score, logp, 99)] == [(1, 6)] * 3


@given(st.one_of(st.integers(max_value=0), st.floats(), st.booleans(), st.none(), st.text(max_size=2)))
def test_no_k_below_one_and_no_width_below_one(k):
    for call in (lambda: top_k_filter(LOGITS, k), lambda: beam(counting, torch.tensor([[0]]), 1, k)):
        with pytest.raises(ValueError, match="must be a whole number of at least 1, got"):
            call()


@given(st.one_of(st.floats(max_value=0.0), st.floats(min_value=1.0, exclude_min=True), st.just(float("nan"))))
def test_no_p_outside_zero_to_one(p):
    for call in (lambda: top_p_filter(LOGITS, p), lambda: Sampling(1.0, 0, p)):
        with pytest.raises(ValueError, match=r"top_p must be in \(0, 1\], got"):
            call()


@given(st.integers(6, 10**9), st.integers(1, 4))
def test_no_beam_wider_than_the_vocabulary(width, max_new):
    with pytest.raises(ValueError, match="width must be at most the vocabulary, 5, got"):
        beam(counting, torch.tensor([[0]]), max_new, width)


@given(st.integers(SMALL.context + 1, 3 * SMALL.context), st.integers(1, 3))
@settings(deadline=None, max_examples=25)
def test_no_prompt_longer_than_the_context(length, rows):
    model, ids = lively(), torch.zeros(rows, length, dtype=torch.long)
    for call in (lambda: greedy(model, ids, 1), lambda: beam(model, ids, 1, 2), lambda: sample(model, ids, 1, 0.0)):
        with pytest.raises(ValueError, match=f"a text of {length} tokens does not fit in a context of 32"):
            call()
