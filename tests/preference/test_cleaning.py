"""Cleaning: planted faults are found, each under its reason, and nothing else is."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import cleaning
from llmrl.toy import preferences

texts = st.lists(st.sampled_from(["ada", "ben", "saw", "the", "fox"]), max_size=6).map(" ".join)
GOOD = preferences.pairs(40, "cleaning")


@settings(max_examples=30)
@given(texts, texts)
def test_overlap_is_a_share_and_does_not_mind_the_order(a, b):
    assert 0 <= cleaning.overlap(a, b) == cleaning.overlap(b, a) <= 1
    assert cleaning.overlap(a, a) == 1


@pytest.mark.parametrize(
    ("a", "b", "share"),
    [
        ("The fox lives.", "the FOX lives", 1.0),
        ("the fox lives here", "the owl lives here", 1 / 5),
        ("a b c", "a b", 1 / 2),
        ("yes", "no", 0.0),
        ("", "", 1.0),
        ("", "yes", 0.0),
    ],
)
def test_overlap_by_hand(a, b, share):
    assert cleaning.overlap(a, b) == pytest.approx(share)


def test_good_rows_stay():
    rows, dropped = cleaning.cleaned(GOOD)
    assert rows == GOOD and not any(dropped.values())
    assert cleaning.cleaned([]) == ([], dict.fromkeys(dropped, []))


def test_every_planted_fault_is_found_under_its_reason():
    swapped = {"chosen": GOOD[1]["rejected"], "rejected": GOOD[1]["chosen"]}
    near = {"chosen": GOOD[2]["chosen"] + " So they say."}
    faults = [
        GOOD[0] | {"rejected": " . "},
        GOOD[0] | {"chosen": GOOD[0]["rejected"].upper()},
        GOOD[1] | swapped,
        GOOD[3] | {},
        GOOD[2] | near,
    ]
    rows, dropped = cleaning.cleaned(GOOD + faults, near=0.6)
    assert dropped == {
        "an empty side": [40],
        "both sides the same": [41],
        "contradicts another": [1, 42],
        "repeats an earlier row": [43, 44],
    }
    assert rows == [row for i, row in enumerate(GOOD) if i != 1]
    assert cleaning.repeated(GOOD + faults[-2:]) == {40: 3}


def test_a_repetition_belongs_to_the_first_of_its_kind():
    assert cleaning.repeated([GOOD[0]] * 3) == {1: 0, 2: 0}


def test_another_prompt_is_another_row():
    assert cleaning.repeated([GOOD[0], GOOD[0] | {"prompt": "Describe it to me."}]) == {}
    assert cleaning.contradicting([GOOD[0], GOOD[0]]) == []


@pytest.mark.parametrize("near", [0.0, -1.0, 1.1, float("nan")])
def test_near_is_a_share(near):
    with pytest.raises(ValueError, match="near must be above 0 and at most 1"):
        cleaning.repeated(GOOD, near)
