"""Best of N and majority vote: ties, silence, nothing at all."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.reasoning.search import best_of_n, majority_vote


def test_the_best_by_hand():
    assert best_of_n(["a", "b", "c"], [0.1, 0.9, 0.5]) == "b"
    assert best_of_n(["a", "b", "c"], [-3, -1, -1]) == "b"  # the first of two equals
    assert best_of_n([[1], []], torch.tensor([0.0, 1.0])) == []
    assert best_of_n(["only"], [-math.inf]) == "only"


@given(st.lists(st.integers(-5, 5), min_size=1))
def test_the_best_is_the_first_with_the_highest_score(scores):
    assert best_of_n(range(len(scores)), scores) == scores.index(max(scores))


@pytest.mark.parametrize("answers, scores", [([], []), (["a"], []), (["a"], [1, 2])])
def test_every_answer_needs_a_score(answers, scores):
    with pytest.raises(ValueError, match=f"got {len(answers)} answers and {len(scores)} scores: score every answer"):
        best_of_n(answers, scores)


@pytest.mark.parametrize("scores", [[math.nan, 1.0], [1.0, math.nan], torch.tensor([0.0, math.nan])])
def test_nan_is_not_a_score(scores):
    with pytest.raises(ValueError, match="a score is nan"):
        best_of_n(["a", "b"], scores)  # first or last, nan would decide by its place


def test_the_majority_by_hand():
    assert majority_vote([5, 7, 7, 5, 7]) == 7
    assert majority_vote([5, 7, 7, 5]) == 5  # the earliest of equals
    assert majority_vote([None, None, 3]) == 3  # who is silent does not vote
    assert majority_vote([None, None]) is None and majority_vote([]) is None
    assert majority_vote(x for x in "abb") == "b"
    assert majority_vote([0, 0, 1]) == 0 and majority_vote(["", "", "a"]) == ""  # an answer, although it is false


@given(st.lists(st.one_of(st.none(), st.integers(0, 3))))
def test_nobody_has_more_votes_than_the_majority(answers):
    winner, votes = majority_vote(answers), [a for a in answers if a is not None]
    if votes:
        assert votes.count(winner) == max(map(votes.count, votes))
        assert votes.index(winner) == min(votes.index(a) for a in votes if votes.count(a) == votes.count(winner))
    else:
        assert winner is None
