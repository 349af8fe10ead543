"""Beam search against transformers, whatever the rule for length and stopping, and rows against themselves alone."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm.beam_search import Beam, beam_search
from llmrl.lm.decoding import beam
from llmrl.lm.exhaustive import text_logp
from llmrl.lm.generation import generate, pad_left

MODEL = lively()
PROMPTS = [some_ids(1, n, seed=n)[0].tolist() for n in (5, 9, 1, 12)]
RULES = list(itertools.product((0.0, 1.0, 2.0, -1.0), (False, True, "never")))


def stops(n=10):
    """Tokens that the greedy texts do say."""
    said = generate(MODEL, PROMPTS, n, stop=()).ids
    return (int(said[0, n // 2]), int(said[1, n // 3]))


def theirs(hf, prompts, max_new, rule, stop):
    """What transformers' generate finds: ids (B, W, N) and scores (B, W)."""
    ids, real = pad_left(prompts)
    out = hf.generate(
        ids, attention_mask=real, max_new_tokens=max_new, do_sample=False, num_beams=rule.width,
        num_return_sequences=rule.width, length_penalty=rule.length_penalty, early_stopping=rule.early_stopping,
        pad_token_id=0, eos_token_id=list(stop) or None, return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    shape = (len(prompts), rule.width)
    return out.sequences[:, ids.shape[1] :].unflatten(0, shape), out.sequences_scores.unflatten(0, shape)


def compare(model, prompts, max_new, rule, stop):
    found = beam_search(model, prompts, max_new, rule, stop)
    ids, score = theirs(model.to_transformers(), prompts, max_new, rule, stop)
    torch.testing.assert_close(found.score, score, atol=2e-5, rtol=2e-5)
    for mine, other in zip(found.lists(), ids.tolist()):
        for text, longer in zip(mine, other):
            end = next((i for i, x in enumerate(longer) if x in stop), max_new)
            assert text == longer[:end]


@pytest.mark.parametrize(("alpha", "early"), RULES)
def test_equals_transformers(alpha, early):
    for stop in (stops(), ()):
        compare(MODEL, PROMPTS, 10, Beam(3, alpha, early), stop)


@pytest.mark.parametrize("width", [2, 8])
def test_equals_transformers_on_a_trained_model(width):
    from llmrl.toy import checkpoints, files
    from llmrl.tuning.chat import prompt_ids

    asked = [r["messages"][:1] for r in files.read_jsonl("instructions.jsonl") if r["split"] == "test"]
    prompts = [prompt_ids(messages) for messages in asked[:: len(asked) // 6][:6]]
    compare(checkpoints.load("sft"), prompts, 24, Beam(width), (3,))


@pytest.mark.parametrize("width", [1, 2, 5])
def test_without_stop_tokens_it_is_the_plain_loop(width):
    found = beam_search(MODEL, PROMPTS, 8, Beam(width, 0.0), ())
    for prompt, ids, score in zip(PROMPTS, found.ids, found.score):
        plain = beam(MODEL, torch.tensor([prompt]), 8, width)
        assert plain[0, len(prompt) :].tolist() == ids[0].tolist()
        torch.testing.assert_close(score[:1], text_logp(MODEL, plain, 8), atol=1e-4, rtol=0)


def test_a_beam_of_one_is_greedy():
    found = beam_search(MODEL, PROMPTS, 10, Beam(1), stops())
    assert [texts[0] for texts in found.lists()] == generate(MODEL, PROMPTS, 10, stop=stops()).lists()


@given(
    st.lists(st.lists(st.integers(0, 39), min_size=1, max_size=8), min_size=1, max_size=4),
    st.integers(1, 8), st.integers(1, 6), st.sampled_from(RULES), st.sets(st.integers(0, 39), max_size=10),
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_what_holds_for_any_beams(prompts, max_new, width, rule, stop):
    stop = tuple(stop)
    found = beam_search(MODEL, prompts, max_new, Beam(width, *rule), stop)
    assert found.ids.shape == (len(prompts), width, max_new) and (found.score.diff(dim=1) <= 0).all()
    for prompt, texts, ids, score in zip(prompts, found.lists(), found.ids.tolist(), found.score):
        alone = beam_search(MODEL, [prompt], max_new, Beam(width, *rule), stop)
        assert alone.lists()[0] == texts, "a prompt's texts do not depend on its companions"
        there = [text + row[len(text) : len(text) + 1] for text, row in zip(texts, ids)]
        assert len({tuple(text) for text in there}) == len(there), "no text is found twice"
        for text, reached in zip(there, score):
            if reached > -torch.inf and len(text) == max_new:
                whole = text_logp(MODEL, torch.tensor([prompt + text]), max_new) / max_new ** rule[0]
                torch.testing.assert_close(whole[0], reached, atol=1e-3, rtol=1e-4)


def test_a_longer_text_pays_when_length_is_rewarded():
    short, long = (beam_search(MODEL, PROMPTS, 12, Beam(4, alpha, "never"), stops()) for alpha in (0.0, 2.0))
    lengths = [sum(len(texts[0]) for texts in found.lists()) for found in (short, long)]
    assert lengths[0] < lengths[1]


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: beam_search(MODEL, PROMPTS, 5, Beam(41)), "width must be at most the vocabulary, 40, got 41"),
        (lambda: Beam(0), "width must be a whole number of at least 1, got 0"),
        (lambda: Beam(True), "width must be a whole number"),
        (lambda: Beam(2, float("nan")), "length_penalty must be a finite number, got nan"),
        (lambda: Beam(2, "long"), "length_penalty must be a finite number, got 'long'"),
        (lambda: Beam(2, 1.0, "soon"), "early_stopping must be True, False or 'never', got 'soon'"),
        (lambda: Beam(2, 1.0, 1), "early_stopping must be True, False or 'never', got 1"),
        (lambda: beam_search(MODEL, [[1] * 30], 5), "do not fit in a context of 32"),
        (lambda: beam_search(MODEL, [[]], 5), "prompt 0 must have at least one token"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_the_widest_beam_is_the_vocabulary():
    found = beam_search(MODEL, PROMPTS[:1], 2, Beam(SMALL.vocab, 0.0), ())
    texts = torch.tensor([PROMPTS[0] + list(new) for new in itertools.product(range(40), repeat=2)])
    assert PROMPTS[0] + found.lists()[0][0] == texts[text_logp(MODEL, texts, 2).argmax()].tolist()
