"""The odds of a vote: against every way to draw, and against votes that were held."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.reasoning.search import majority_vote
from llmrl.reasoning.votes import mode, vote_odds, winners
from llmrl.seeds import numpy_rng

WEIGHTS = st.lists(st.integers(0, 5), min_size=1, max_size=4).filter(any)


def by_enumeration(p, n):
    """Every sequence of n answers, decided by majority_vote."""
    odds = np.zeros(len(p))
    for answers in itertools.product(range(len(p)), repeat=n):
        odds[majority_vote(list(answers))] += np.prod(p[list(answers)])
    return odds


@given(WEIGHTS, st.integers(1, 6))
@settings(max_examples=40)
def test_the_odds_are_the_sum_over_all_sequences(weights, n):
    p = np.array(weights) / sum(weights)
    np.testing.assert_allclose(vote_odds(p, n), by_enumeration(p, n), atol=1e-10)
    np.testing.assert_allclose(vote_odds(p, n, [0]), vote_odds(p, n)[:1])


def test_the_mode_wins_in_the_end_however_small_its_share():
    p = [0.3, 0.28, 0.22, 0.2]
    odds = [vote_odds(p, n)[0] for n in (1, 9, 41, 99)]
    assert odds == sorted(odds) and odds[0] == pytest.approx(0.3) and odds[-1] > 0.5
    assert vote_odds([0.45, 0.55], 101)[0] < 0.2  # 45 percent right, and a vote makes it worse
    assert vote_odds([0.5, 0.5], 7) == pytest.approx([0.5, 0.5])
    assert vote_odds([0.2, 0.3, 0.5], 2) == pytest.approx([0.2, 0.3, 0.5])  # two votes decide nothing that one did not


def test_condorcet_for_two_answers():
    from math import comb

    expected = sum(comb(11, k) * 0.6**k * 0.4 ** (11 - k) for k in range(6, 12))
    assert vote_odds([0.6, 0.4], 11)[0] == pytest.approx(expected)


@pytest.mark.parametrize("p", [[0.5, 0.4], [1.2, -0.2], [[1.0]], [np.nan, 1.0]])
def test_chances_add_up_to_one(p):
    with pytest.raises(ValueError, match="chances must be at least 0 and add up to 1"):
        vote_odds(p, 3)


@pytest.mark.parametrize("n", [0, 151, 2.5, True])
def test_a_vote_needs_votes(n):
    with pytest.raises(ValueError, match="a vote needs from 1 to"):
        vote_odds([0.5, 0.5], n)


def test_votes_among_drawn_answers():
    answers = np.array([[7] * 30 + [5] * 20, [1] * 25 + [2] * 25])
    found = winners(answers, 50, 400, numpy_rng(0, "votes"))
    assert (found[0] == 7).all()  # everyone votes, and 30 are more than 20
    assert (found[1] == 1).mean() == pytest.approx(0.5, abs=0.1)  # equals by lot
    one = winners(answers, 1, 2000, numpy_rng(0, "votes"))
    assert (one[0] == 7).mean() == pytest.approx(0.6, abs=0.04)
    three = winners(np.array([[7] * 300 + [5] * 200]), 3, 2000, numpy_rng(0, "votes"))
    assert (three == 7).mean() == pytest.approx(vote_odds([0.6, 0.4], 3)[0], abs=0.04)
    with pytest.raises(ValueError, match="a vote needs from 1 to 50 votes, got 51"):
        winners(answers, 51, 1, numpy_rng(0, "votes"))


def test_the_mode():
    assert mode([[3, 3, 9], [9, 4, 4], [8, 2, 5]]).tolist() == [3, 4, 2]
