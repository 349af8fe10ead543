"""Policies of observations: closed forms in two worlds of look-alikes, and no need for dice where all is seen."""

import numpy as np
import pytest

from llmrl.rl.memoryless import by_state, start_value, without_dice
from llmrl.rl.planning import value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import aliased_corridor, gridworld, random_mdp
from llmrl.toy.surroundings import surroundings

ROWS = ("SS.SS", "H#G#H")
GRID, LOOKS = gridworld(ROWS), surroundings(ROWS)


def turning(p):
    """Down in the middle, away from the corners, and right with chance p in the two cells that look alike."""
    policy = np.zeros((6, 4))
    policy[:, 0] = 1.0
    policy[LOOKS[0]] = np.eye(4)[2]
    policy[LOOKS[2]] = np.eye(4)[1]
    policy[LOOKS[1]] = [1 - p, 0, p, 0]
    return policy


def test_alike_cells_are_found():
    assert LOOKS[1] == LOOKS[3] and len({*LOOKS[[0, 1, 2, 4]]}) == 4
    assert surroundings(("..", "..")).tolist() == [2, 3, 0, 1]  # left and up, up and right, ... each corner differs


def test_a_coin_beats_every_rule_in_closed_form():
    gamma = 0.9
    _, values = without_dice(GRID, LOOKS, gamma)
    assert len(values) == 4**4  # ends do nothing
    assert np.isclose(values.max(), (gamma + gamma**2) / 4)  # one side arrives, the other never does
    at = gamma * 0.5 / (1 - 0.5 * gamma**2)  # from beside the middle: right at once, or back after two steps
    assert np.isclose(start_value(GRID, turning(0.5), LOOKS, gamma), (at + gamma * at) / 2)
    by_chance = [start_value(GRID, turning(p), LOOKS, gamma) for p in np.linspace(0, 1, 21)]
    assert np.argmax(by_chance) == 10 and np.isclose(max(by_chance[0], by_chance[-1]), values.max())


def test_the_corridor_of_the_textbook():
    """Sutton and Barto, example 13.1: the best chance of going right is 2 - sqrt 2, about 0.586, and worth -11.66."""
    mdp, looks = aliased_corridor()
    chances = np.linspace(0.3, 0.9, 601)
    worth = [start_value(mdp, [[1 - p, p], [1, 0]], looks, 1.0) for p in chances]
    assert np.isclose(chances[np.argmax(worth)], 2 - 2**0.5, atol=1e-3) and np.isclose(max(worth), -6 - 4 * 2**0.5)
    _, sure = without_dice(mdp, looks, 0.99)
    np.testing.assert_allclose(sure, -100)  # neither ever arrives


def test_where_everything_is_seen_a_rule_is_enough():
    for seed in range(5):
        random = numpy_rng(seed, "world")
        mdp = random_mdp(4, 3, 2, random)
        _, values = without_dice(mdp, np.arange(4), 0.9)
        best, _ = value_iteration(mdp.P, mdp.R, 0.9)
        assert np.isclose(values.max(), mdp.start @ best)
        mixed = [start_value(mdp, random.dirichlet(np.ones(3), 4), np.arange(4), 0.9) for _ in range(50)]
        assert max(mixed) <= values.max() + 1e-9


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: by_state(np.zeros((2, 4)), [0, 1, 2]), "from 0 to 1, one row"),
        (lambda: by_state(np.zeros((2, 4)), [0, -1]), "from 0 to 1, one row"),
        (lambda: without_dice(GRID, np.arange(10), 0.9, most=100), "100 at most"),
        (lambda: start_value(GRID, np.zeros((6, 4)), LOOKS, 0.9), "must sum to one"),
        (lambda: surroundings(("..", "...")), "rows of one length"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
