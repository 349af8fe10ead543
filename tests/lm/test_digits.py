"""Numbers cut in four ways: by hand, in the tokenizers library, and with the place value of each token."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.digits import NUMBERS, aligned, parts, pattern, places, threes
from llmrl.lm.pretokenize import PIECES, cutter
from llmrl.lm.tokenizer import BPE

BY_HAND = {
    "each digit apart": ["1", "2", "3", "4", "5", "6", "7", ",", " ", "8", "9"],
    "threes from the left": ["123", "456", "7", ",", " ", "89"],
    "threes from the right": ["1", "234", "567", ",", " ", "89"],
    "runs kept together": ["1234567", ",", " ", "89"],
}


def test_four_ways_by_hand():
    assert {name: cutter(pattern(name))("1234567, 89") for name in NUMBERS} == BY_HAND
    assert pattern("each digit apart") == PIECES


@settings(max_examples=50, deadline=None)
@given(st.text(st.sampled_from("0123456789 ,a"), max_size=20), st.sampled_from(list(NUMBERS)))
def test_the_library_cuts_the_same_pieces(text, name):
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    cut = cutter(pattern(name))(text)
    assert cut == [piece for piece, _ in Split(Regex(pattern(name)), "isolated").pre_tokenize_str(text)]
    assert "".join(cut) == text


def test_an_unknown_way():
    with pytest.raises(ValueError, match="one of the ways each digit apart, .*, got 'pairs'"):
        pattern("pairs")


@given(st.integers(0, 10**15))
def test_threes_are_what_the_expression_cuts_and_what_commas_mark(number):
    assert threes(str(number)) == f"{number:,}".split(",") == cutter(pattern("threes from the right"))(str(number))


@pytest.mark.parametrize("wrong", ["", "1,234", "-5", "12a", "²", "١٢", 1234, None])
def test_threes_of_something_else(wrong):
    with pytest.raises(ValueError, match=r"digits 0 to 9, at least one, got .*str\(number\)"):
        threes(wrong)


def test_parts_and_places_by_hand():
    bpe = BPE.train("12 12 12 12 34 34 34 123 123", 263, pattern("runs kept together"))  # 12, 34, 123
    assert [token.decode() for token in bpe.tokens[260:]] == ["12", "34", "123"]
    assert parts(bpe, 1234) == ("12", "34") and places(bpe, 1234) == (2, 0)  # 34 was learned before 123
    assert parts(bpe, 1235) == ("123", "5") and places(bpe, 1235) == (1, 0)
    assert parts(bpe, 5124) == ("5", "12", "4") and places(bpe, 5124) == (3, 1, 0)
    assert places(bpe, 123) == (0,) and places(bpe, 234) == (2, 0)  # 2 hundreds and 34
    assert aligned(bpe, 512, 534) and not aligned(bpe, 512, 125)


@given(st.integers(0, 10**9))
def test_digits_apart_always_align(number):
    bpe = BPE([])
    assert parts(bpe, number) == tuple(str(number))
    assert places(bpe, number) == tuple(reversed(range(len(str(number)))))
