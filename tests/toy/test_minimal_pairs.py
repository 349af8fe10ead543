"""Minimal pairs: one word apart, and that word decides."""

import re

from llmrl.toy.facts import judge
from llmrl.toy.minimal_pairs import minimal_pairs
from llmrl.toy.preferences import gold


def test_two_answers_differ_in_one_word_and_only_one_is_true():
    for row in minimal_pairs(200, "test"):
        a, b = (re.split(r"(?<=\.) ", row[side]) for side in ("chosen", "rejected"))
        differ = [(x, y) for x, y in zip(a, b) if x != y]
        assert len(a) == len(b) and len(differ) == 1
        (true, false), words = differ[0], [w.split() for w in differ[0]]
        assert judge(true) is True and judge(false) is False
        assert sum(x != y for x, y in zip(*words)) == 1
        assert gold(row["prompt"], row["chosen"]) > gold(row["prompt"], row["rejected"])


def test_the_same_seed_gives_the_same_pairs():
    assert minimal_pairs(5, 0) == minimal_pairs(5, 0) != minimal_pairs(5, 1)
