"""Batched, cached generation against the plain loop, against transformers, and rows against themselves alone."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm.decoding import Sampling, greedy, sample
from llmrl.lm.generation import generate
from llmrl.lm.logprobs import token_logp
from llmrl.seeds import rng

MODEL = lively()
PROMPTS = [some_ids(1, n, seed=n)[0].tolist() for n in (5, 9, 1, 12, 9)]
HOT = Sampling(temperature=1.3, top_k=20, top_p=0.95)


def stops(n, prompts=PROMPTS):
    """A stop token that the greedy texts do say, so that rows end at different times."""
    said = generate(MODEL, prompts, n, stop=()).ids
    return (int(said[0, n // 2]), int(said[1, n // 3]))


def test_greedy_equals_the_plain_loop_for_every_row():
    out = generate(MODEL, PROMPTS, 15, stop=())
    for prompt, said in zip(PROMPTS, out.ids):
        assert greedy(MODEL, torch.tensor([prompt]), 15)[0, len(prompt) :].tolist() == said.tolist()


def test_greedy_equals_transformers():
    stop = stops(15)
    out, hf, T = generate(MODEL, PROMPTS, 15, stop=stop), MODEL.to_transformers(), max(map(len, PROMPTS))
    ids = torch.tensor([[0] * (T - len(p)) + p for p in PROMPTS])
    mask = torch.tensor([[0] * (T - len(p)) + [1] * len(p) for p in PROMPTS])
    options = {"max_new_tokens": 15, "do_sample": False, "eos_token_id": list(stop), "pad_token_id": 0}
    theirs = hf.generate(ids, attention_mask=mask, **options)
    assert out.mask.sum(1).unique().numel() > 1, "rows have to end at different times for this to test anything"
    assert out.ids.tolist() == theirs[:, T:].tolist()


@pytest.mark.parametrize("sampling", [Sampling(), HOT], ids=["greedy", "sampled"])
def test_log_probabilities_are_those_of_the_model_itself(sampling):
    out = generate(MODEL, PROMPTS, 12, sampling, stops(12), rng(0))
    for prompt, row, said, logp in zip(PROMPTS, out.ids, out.mask, out.logp):
        text = torch.tensor([prompt + row[said].tolist()])
        expected = token_logp(MODEL(text), text)[0, len(prompt) - 1 :]
        torch.testing.assert_close(logp[said], expected, atol=1e-5, rtol=1e-5)
        assert (logp[~said] == 0).all() and (row[~said] == 0).all()


def test_a_row_does_not_depend_on_its_companions():
    stop = stops(15)
    together = generate(MODEL, PROMPTS, 15, stop=stop)
    for i, prompt in enumerate(PROMPTS):
        alone = generate(MODEL, [prompt], 15, stop=stop)
        n = alone.ids.shape[1]
        assert alone.lists()[0] == together.lists()[i] and together.mask[i].sum() == n
        torch.testing.assert_close(alone.logp[0], together.logp[i, :n], atol=1e-5, rtol=0)


def test_a_prompt_asked_many_times_is_read_once_and_answered_each_time():
    asked, stop, read = [PROMPTS[i] for i in (1, 0, 1, 1, 0, 2)], stops(9), []
    hook = MODEL.embed.register_forward_hook(lambda module, inputs, out: read.append(tuple(inputs[0].shape)))
    out = generate(MODEL, asked, 9, HOT, stop, rng(0))
    hook.remove()
    assert read[:2] == [(3, 9), (6, 1)], "three different prompts, then six rows"
    for i, prompt in enumerate(asked):
        row, said = torch.tensor([prompt + out.ids[i][out.mask[i]].tolist()]), out.mask[i]
        expected = token_logp(MODEL(row), row)[0, len(prompt) - 1 :]
        torch.testing.assert_close(out.logp[i][said], expected, atol=1e-5, rtol=1e-5)
    greedily = generate(MODEL, asked, 9, stop=()).ids
    assert torch.equal(greedily[[0, 1, 5]], generate(MODEL, [asked[i] for i in (0, 1, 5)], 9, stop=()).ids)
    assert torch.equal(greedily[0], greedily[2]) and len({tuple(ids) for ids in out.ids[[0, 2, 3]].tolist()}) == 3


def test_a_sampled_row_does_not_depend_on_its_companions():
    first = generate(MODEL, PROMPTS, 15, HOT, stops(15), rng(0))
    other = generate(MODEL, [PROMPTS[1], PROMPTS[1], PROMPTS[2], PROMPTS[0], PROMPTS[0]], 15, HOT, stops(15), rng(0))
    assert first.lists()[2] == other.lists()[2]
    assert first.lists()[0] == generate(MODEL, PROMPTS[:1], 15, HOT, stops(15), rng(0)).lists()[0]


def test_sampling_equals_the_plain_loop_with_the_same_stream():
    ids = some_ids(4, 6)
    ours = generate(MODEL, ids.tolist(), 10, HOT, (), rng(0, "dice"))
    plain = sample(MODEL, ids, 10, HOT.temperature, HOT.top_k, HOT.top_p, rng(0, "dice"))
    assert ours.ids.tolist() == plain[:, 6:].tolist()
    assert ours.ids.tolist() != generate(MODEL, ids.tolist(), 10, HOT, (), rng(1, "dice")).ids.tolist()


def test_sampling_touches_no_global_stream():
    before = torch.random.get_rng_state()
    generate(MODEL, PROMPTS, 3, HOT, generator=rng(0))
    assert torch.equal(before, torch.random.get_rng_state())


@given(
    st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=8), min_size=1, max_size=6),
    st.integers(1, 10),
    st.sets(st.integers(0, 39), max_size=8),
    st.sampled_from([Sampling(), HOT]),
)
@settings(max_examples=40, deadline=None)
def test_what_holds_for_any_completions(prompts, max_new, stop, sampling):
    stop = tuple(stop)
    out = generate(MODEL, prompts, max_new, sampling, stop, rng(0))
    assert out.ids.shape == out.mask.shape == out.logp.shape
    assert (out.ids.dtype, out.mask.dtype) == (torch.long, torch.bool)
    lengths = out.mask.sum(1)
    assert lengths.min() >= 1 and lengths.max() == out.ids.shape[1] <= max_new
    assert torch.equal(out.mask, torch.arange(out.ids.shape[1]) < lengths[:, None])
    assert (out.logp <= 0).all()
    for ids, said, text in zip(out.ids.tolist(), lengths.tolist(), out.lists()):
        assert not set(ids[: said - 1]) & set(stop), "nothing is said after a stop token"
        assert said == max_new or ids[said - 1] in stop
        assert text == [x for x in ids[:said] if x not in stop] and set(ids[said:]) <= {0}


def test_completions_can_be_trained_on():
    out = generate(MODEL, PROMPTS, 4)
    weight = torch.ones((), requires_grad=True)
    (weight * out.logp).sum().backward()
    assert not any(x.is_inference() for x in (out.ids, out.mask, out.logp)) and weight.grad.isfinite()
    assert MODEL.embed(out.ids).requires_grad


@pytest.mark.parametrize(
    "prompts, options, error, message",
    [
        ([], {}, TypeError, "at least one prompt, got list"),
        ([1, 2], {}, TypeError, r"prompts must be a list of lists of token ids.*got list \[1, 2\]"),
        ("text", {}, TypeError, "got str text"),
        ([[1], []], {}, ValueError, "prompt 1 must have at least one token, got none"),
        ([[1, 40]], {}, ValueError, r"prompt 0 must hold whole numbers in \[0, 40\), got 40"),
        ([[-1]], {}, ValueError, "got -1"),
        ([[1.0]], {}, ValueError, "got 1.0"),
        ([[1]], {"max_new": 0}, ValueError, "max_new must be a whole number of at least 1, got 0"),
        ([[1]], {"max_new": 2.0}, ValueError, "max_new must be a whole number"),
        ([[1] * 20, [1]], {"max_new": 13}, ValueError, "20 tokens and max_new = 13 do not fit.* 32: set max_new to 12"),
        ([[1]], {"stop": 3}, ValueError, "stop must be a tuple of token ids"),
        ([[1]], {"stop": (40,)}, ValueError, "stop must be a tuple of token ids"),
        ([[1]], {"sampling": Sampling(1.0)}, ValueError, "generator is None: pass generator=llmrl.seeds.rng"),
    ],
)
def test_bad_input_is_named(prompts, options, error, message):
    with pytest.raises(error, match=message):
        generate(MODEL, prompts, **{"max_new": 2, **options})


def test_a_prompt_may_fill_the_context_to_the_last_token():
    assert generate(MODEL, [[1] * (SMALL.context - 1)], 1).ids.shape == (1, 1)
