"""The JSON automaton against Python's json, the mask against every token tried, and texts that always end."""

import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import lively

from llmrl.lm.decoding import Sampling
from llmrl.lm.grammar import Mask, advance, allowed, constrained
from llmrl.lm.json_grammar import JSON
from llmrl.lm.model import Config
from llmrl.seeds import rng

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.lists(VALUES, max_size=3) | st.dictionaries(st.text(), VALUES, max_size=3)
DEEP = JSON(depth=20)
TOKENS = (
    [b""] * 4 + [bytes([b]) for b in range(256)] + [b'{"', b'":', b", ", b"]}", b"true", b"12", b"\\u00", b"\xc3\xa9"]
)
MASK = Mask(JSON(2), TOKENS)
SMALL = Config(vocab=len(TOKENS), width=8, layers=1, heads=2, kv_heads=1, ffn=8, context=64)


def read(text, grammar=DEEP):
    return advance(grammar.step, grammar.start, text)


def whole(text, grammar=DEEP):
    state = read(text, grammar)
    return state is not None and grammar.finished(state)


def strict(text):
    """What Python reads as an object or array, without its NaN and Infinity."""
    try:
        return isinstance(json.loads(text.decode(), parse_constant=lambda word: 1 / 0), (dict, list))
    except (ValueError, ZeroDivisionError):
        return False


@settings(max_examples=30)
@given(DOCUMENTS, st.booleans(), st.sampled_from([(",", ":"), (", ", ": ")]))
def test_whatever_json_writes_is_accepted(document, ascii_only, separators):
    text = json.dumps(document, ensure_ascii=ascii_only, separators=separators)
    if not any(0xD800 <= ord(c) < 0xE000 for c in text):
        assert whole(text.encode())
        assert all(not whole(text.encode()[:n]) and read(text.encode()[:n]) for n in range(len(text.encode())))


PIECES = st.lists(
    st.sampled_from(list(b'[]{}",:0123.eE+-tfn\\u rualse\xc3\xa9\xe0\xed\xf4\x90\x80\x9f\x1f')), max_size=14
)


@settings(max_examples=200)
@given(PIECES.map(bytes))
def test_what_is_accepted_json_reads_and_what_is_not_it_does_not(text):
    for candidate in (text, b"[" + text + b"]", b'["' + text + b'"]', b'{"a":' + text + b"}"):
        if whole(candidate):
            assert strict(candidate)
        elif strict(candidate):
            assert b" " in candidate, "only spaces in other places are left out"


@pytest.mark.parametrize(
    "text", [b"[01]", b"[1.]", b"[.5]", b"[+1]", b"[1,]", b'{"a"}', b"{a:1}", b"['a']", b'["\\x"]', b'["\xc0\x80"]',
             b'["\xed\xa0\x80"]', b'["\xf4\x90\x80\x80"]', b"[tru]", b"[1e]", b"[}", b"1", b"[]]", b'["\n"]']
)  # fmt: skip
def test_near_misses_are_refused(text):
    assert not whole(text)


def test_depth_is_bounded():
    assert whole(b"[[1]]", JSON(2)) and not whole(b"[[[1]]]", JSON(2)) and read(b'{"a":[', JSON(1)) is None


def fewest(grammar, state):
    """The fewest bytes to the end, by breadth-first search."""
    reached, n = {state}, 0
    while not any(map(grammar.finished, reached)):
        reached = {after for s in reached for byte in range(256) if (after := grammar.step(s, byte))}
        n += 1
    return n


BEGUN = [b"", b"{", b"[", b"[[", b'{"', b'{"a', b'{"\\', b'{"\\u12', b'{"\xe0', b'{"a"', b'{"a":', b"[1", b"[-", b"[1."]
BEGUN += [b"[1e", b"[1e+", b"[0", b"[fa", b"[1,", b'{"a":1,', b'["\xf0', b'[{"a":"b', b"[]", b"[1, "]


@pytest.mark.parametrize("text", BEGUN)
def test_the_shortest_way_out_is_the_shortest(text):
    grammar = JSON(2)
    assert grammar.shortest(read(text, grammar)) == fewest(grammar, read(text, grammar))


@settings(max_examples=30)
@given(st.lists(st.integers(4, len(TOKENS) - 1), max_size=12), st.integers(1, 9))
def test_the_mask_allows_what_can_be_read_and_finished_in_time(ids, room):
    grammar, state, mask = MASK.grammar, JSON.start, []
    for token in ids:
        state = advance(grammar.step, state, TOKENS[token]) or state
    for token in range(len(TOKENS)):
        after = advance(grammar.step, state, TOKENS[token]) if token >= 4 else None
        mask.append(after is not None and grammar.shortest(after) <= room - 1)
    assert MASK.allowed(state, room).tolist() == mask
    assert any(mask) or not 0 < grammar.shortest(state) <= room, "there is always a way on"
    assert torch.equal(MASK.allowed(state, 99)[4:], allowed(grammar.step, state, TOKENS[4:]))


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 1.0, 10.0, 1e6]), st.integers(2, 40), st.integers(1, 4))
def test_every_text_is_valid_json_whatever_the_model(seed, temperature, max_new, depth):
    model, mask = lively(SMALL, seed % 7), Mask(JSON(depth), TOKENS)
    ids = constrained(model, [1, 5], mask, max_new, Sampling(temperature), rng(seed))
    assert len(ids) <= max_new
    assert strict(b"".join(TOKENS[i] for i in ids))


def test_the_mask_leaves_the_ratios_of_what_it_allows():
    model, n = lively(SMALL), 300
    brackets = [4 + ord("{"), 4 + ord("[")]
    expected = model(torch.tensor([[1]]))[0, -1, brackets].detach().softmax(-1)
    first = [constrained(model, [1], MASK, 2, Sampling(1.0), rng(0, i))[0] for i in range(n)]
    assert set(first) == set(brackets)
    assert abs(first.count(brackets[0]) / n - float(expected[0])) < 4 * (0.25 / n) ** 0.5


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: JSON(0), "depth must be a whole number of at least 1, got 0"),
        (lambda: Mask(JSON(), TOKENS[:200]), "every byte must be a token, 60 are not"),
        (lambda: constrained(lively(SMALL), [1], Mask(JSON(), TOKENS), 1), "max_new must be at least 2, got 1"),
        (
            lambda: constrained(lively(SMALL), [1] * 60, Mask(JSON(), TOKENS), 5),
            "room must be from 1 to the model's context",
        ),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
