"""BPE as a compressor: lengths against plain encoding, savings that never grow, smaller vocabularies inside larger."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.compression import bytes_per_piece, bytes_per_token, lengths, prefix
from llmrl.lm.tokenizer import BPE, FIRST_MERGE

STORY = "the cat sat on the mat, the hat sat on the cat: 12+7=19<|im_end|> and the bat spat at that"


@pytest.fixture(scope="module")
def bpe():
    return BPE.train(STORY, 280)


def test_a_smaller_vocabulary_is_the_beginning_of_a_larger(bpe):
    for size in range(260, 281):
        smaller = prefix(bpe, size)
        assert smaller.merges == BPE.train(STORY, size).merges and len(smaller.tokens) == size


@pytest.mark.parametrize("wrong", [259, 281, 0, -1])
def test_a_vocabulary_that_was_not_trained(bpe, wrong):
    with pytest.raises(ValueError, match=f"from 260, bytes only, to 280, all merges, got {wrong}"):
        prefix(bpe, wrong)


@settings(max_examples=60, deadline=None)
@given(st.text(st.sampled_from("aab c<|im_end|>1中"), min_size=1, max_size=60))
def test_lengths_are_those_of_the_encodings(text):
    whole = len(BPE.train(text, 260).encode(text))
    supply = 260
    for supply in range(260, 275):
        try:
            bpe = BPE.train(text, supply)
        except ValueError:
            break
    counted = lengths(bpe, text)
    assert counted == [len(prefix(bpe, FIRST_MERGE + k).encode(text)) for k in range(len(bpe.merges) + 1)]
    assert counted[0] == whole
    assert all(after < before for before, after in zip(counted, counted[1:])), "on its own text every merge saves"


def test_savings_never_grow_where_the_halves_of_a_pair_differ(bpe):
    counted = lengths(bpe, STORY)
    saved = [a - b for a, b in zip(counted, counted[1:])]
    differ = [n for n, (left, right) in zip(saved, bpe.merges) if left != right]
    assert differ == sorted(differ, reverse=True)


def test_bytes_per_token_by_hand():
    bpe = BPE([])
    assert bytes_per_token(bpe, "abc") == 1 and bytes_per_token(bpe, "中") == 1
    assert bytes_per_token(bpe, "<|pad|>ab") == 3 and bytes_per_piece(bpe, "ab cd12") == 7 / 4
    assert bytes_per_piece(bpe, "ab<|im_end|>") == 12 / 2


def test_bytes_per_token_meets_bytes_per_piece():
    text = "one two one two"
    full = BPE.train(text, 266)
    assert bytes_per_token(full, text) == bytes_per_piece(full, text) == 15 / 4


@pytest.mark.parametrize("measure", [bytes_per_token, bytes_per_piece, lengths])
def test_an_empty_text(bpe, measure):
    with pytest.raises(ValueError, match="an empty text has no bytes per token"):
        measure(bpe, "")
    with pytest.raises(TypeError, match="reads text, got list"):
        measure(bpe, ["a"])
