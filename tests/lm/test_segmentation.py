"""Ways to write a text, by brute force over all rows of ids on a small vocabulary."""

from itertools import product

from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.segmentation import fewest, longest_first, ways
from llmrl.lm.tokenizer import BPE

BPE_ABC = BPE.train("abcab bcabc cabab cabca", 266)
words = st.text(st.sampled_from("abc"), min_size=1, max_size=5)
anything = st.text(st.sampled_from("ab c.12中"), max_size=12)


def all_rows(bpe, text):
    """Every row of ids that decodes to the text, found by trying."""
    useful = [i for i in range(4, len(bpe.tokens)) if bpe.tokens[i] in text.encode()]
    rows = (row for n in range(1, len(text.encode()) + 1) for row in product(useful, repeat=n))
    return [list(row) for row in rows if b"".join(bpe.tokens[i] for i in row) == text.encode()]


@settings(max_examples=40, deadline=None)
@given(words)
def test_ways_and_fewest_are_those_of_brute_force(text):
    rows = all_rows(BPE_ABC, text)
    assert ways(BPE_ABC, text) == len(rows)
    assert fewest(BPE_ABC, text) in rows and len(fewest(BPE_ABC, text)) == min(map(len, rows))
    assert BPE_ABC.encode(text) in rows and longest_first(BPE_ABC, text) in rows


@given(anything)
def test_every_rule_writes_the_text(text):
    for ids in (longest_first(BPE_ABC, text), fewest(BPE_ABC, text), BPE_ABC.encode(text)):
        assert BPE_ABC.decode(ids) == text and len(ids) >= len(fewest(BPE_ABC, text))
    assert ways(BPE_ABC, text) >= 1


def test_the_rules_differ():
    bpe = BPE([(ord("b") - 33 + 4, ord("c") - 33 + 4), (ord("a") - 33 + 4, ord("b") - 33 + 4)])  # bc, then ab
    assert [bpe.decode([i]) for i in bpe.encode("abc")] == ["a", "bc"]
    assert [bpe.decode([i]) for i in longest_first(bpe, "abc")] == ["ab", "c"]
    assert ways(bpe, "abc") == 3 and ways(bpe, "ab ab") == 4 and ways(bpe, "") == 1


def test_control_tokens_are_read_as_text():
    for rule in (longest_first, fewest):
        ids = rule(BPE_ABC, "<|im_end|>")
        assert BPE_ABC.decode(ids) == "<|im_end|>" and 3 not in ids
