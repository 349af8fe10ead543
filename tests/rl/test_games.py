"""Games: equilibria in closed form, best replies by brute force, fictitious play against them."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.games import ROCK_PAPER_SCISSORS, exploitability, fair, fictitious_play
from llmrl.seeds import numpy_rng

THIRD = np.full(3, 1 / 3)


def three(a, b, c):
    """A fair game of three actions that beat each other in a circle, and its equilibrium (c, b, a) / sum."""
    return np.array([[0, -a, b], [a, 0, -c], [-b, c, 0]]), np.array([c, b, a]) / (a + b + c)


def fair_game(seed, actions):
    half = numpy_rng(seed, "game").normal(size=(actions, actions))
    return half - half.T


def test_every_strategy_without_dice_loses_each_round():
    assert [exploitability(ROCK_PAPER_SCISSORS, np.eye(3)[a]) for a in range(3)] == [1, 1, 1]
    assert exploitability(ROCK_PAPER_SCISSORS, THIRD) == 0
    assert exploitability(ROCK_PAPER_SCISSORS, [0.5, 0.5, 0]) == 0.5


@given(*[st.floats(0.1, 10)] * 3)
def test_the_equilibrium_of_a_circle_is_known(a, b, c):
    payoffs, equilibrium = three(a, b, c)
    assert abs(exploitability(payoffs, equilibrium)) < 1e-9
    assert exploitability(payoffs, THIRD) >= -1e-12


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_no_mixture_of_replies_wins_more_than_the_best_one_and_nothing_is_below_zero(seed, actions):
    payoffs, random = fair_game(seed, actions), numpy_rng(seed, "strategies")
    strategy, replies = random.dirichlet(np.ones(actions)), random.dirichlet(np.ones(actions), 50)
    wins = exploitability(payoffs, strategy)
    assert wins >= (replies @ payoffs @ strategy).max() - 1e-12 and wins >= -1e-12  # copying breaks even
    assert np.isclose(wins, max(payoffs[b] @ strategy for b in range(actions)))


@pytest.mark.parametrize("payoffs", [ROCK_PAPER_SCISSORS, three(1, 2, 1)[0], three(3, 1, 2)[0], fair_game(3, 5)])
def test_fictitious_play_arrives(payoffs):
    *_, mean = islice(fictitious_play(payoffs), 4000)
    assert exploitability(payoffs, mean) < 0.05 * np.ptp(payoffs)


def test_the_first_rounds_by_hand():
    """Rock, then paper, until scissors win more against the past; of equal replies the first is taken."""
    means = [mean * (k + 1) for k, mean in enumerate(islice(fictitious_play(ROCK_PAPER_SCISSORS), 5))]
    np.testing.assert_allclose(means, [[1, 0, 0], [1, 1, 0], [1, 2, 0], [1, 3, 0], [1, 3, 1]])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: fair(np.ones((2, 2))), "change sign"),
        (lambda: fair(np.zeros((2, 3))), r"must be \(A, A\)"),
        (lambda: fair([[np.nan]]), "change sign"),
        (lambda: exploitability(ROCK_PAPER_SCISSORS, [0.5, 0.5]), "one chance for each of 3 actions"),
        (lambda: exploitability(ROCK_PAPER_SCISSORS, [0.5, 0.5, 0.5]), "must sum to one"),
        (lambda: exploitability(ROCK_PAPER_SCISSORS, [1.5, -0.5, 0]), "must not be negative"),
        (lambda: next(fictitious_play(ROCK_PAPER_SCISSORS, 3)), "0 to 2, got 3"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
