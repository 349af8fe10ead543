"""The landmarks: every one has a source that can be found, a year that fits it, and a concept of this course."""

import re

import pytest

from llmrl.course import curriculum
from llmrl.rl.history import STRANDS, landmarks
from llmrl.toy import files

ALL = landmarks()
ROW = files.read_json("rl_history.json")[0]
each = pytest.mark.parametrize("one", ALL, ids=lambda one: one.name)


@each
def test_a_landmark_has_a_primary_source(one):
    assert len(one.title.split()) >= 2 or one.name == one.title
    arxiv = re.search(r"arXiv:(\d\d)(\d\d)\.\d{4,5}$", one.venue)
    if arxiv:
        assert 2000 + int(arxiv[1]) == one.year and 1 <= int(arxiv[2]) <= 12
    else:
        assert re.search(r"\d", one.venue) or re.search("Press|thesis", one.venue), "pages, a volume, or a publisher"


@each
def test_a_landmark_says_one_sentence_and_runs_somewhere(one):
    assert one.says.endswith(".") and one.says.count(". ") == 0 and len(one.name) < 34
    assert one.concept in curriculum.read().concepts


def test_all_strands_and_decades_are_there_but_the_seventies():
    assert {one.strand for one in ALL} == set(STRANDS) and len({one.name for one in ALL}) == len(ALL)
    assert {one.year // 10 for one in ALL} == {195, 196, 198, 199, 200, 201, 202}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"venue": ""}, "lacks venue"),
        ({"authors": None}, "lacks authors"),
        ({"year": "1950"}, "must be a whole number from 1900 to 2100, got '1950'"),
        ({"year": 50}, "got 50"),
        ({"strand": "chess"}, "must be one of plan, act, deep, people, got 'chess'"),
        ({"link": "x"}, "a landmark needs"),
    ],
)
def test_a_broken_entry_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        landmarks([{**ROW, **change}])


def test_entries_out_of_order_are_named():
    with pytest.raises(ValueError, match="'Chess by looking ahead' comes too late"):
        landmarks([{**ROW, "name": "later", "year": 1999}, ROW])
