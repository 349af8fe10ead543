"""Matches and Elo numbers against players whose strength is known."""

import math

import pytest
import torch

from llmrl.reasoning.arena import elo, finished, match, openings, raw, results, searching, unguided
from llmrl.reasoning.self_play import Network
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.boards import TIC_TAC_TOE, Board, perfect, read, solve

KNOWN = solve(TIC_TAC_TOE)
PERFECT = lambda states: [perfect(TIC_TAC_TOE, s, KNOWN)[0] for s in states]  # noqa: E731
FIRST = lambda states: [TIC_TAC_TOE.actions(s)[0] for s in states]  # noqa: E731


def test_a_match_by_hand():
    starts = [read(TIC_TAC_TOE, "xx. oo. ..."), read(TIC_TAC_TOE, "xox oxo ox.")]
    assert finished(TIC_TAC_TOE, (PERFECT, FIRST), starts).tolist() == [1.0, 1.0]
    assert finished(TIC_TAC_TOE, (FIRST, PERFECT), starts).tolist() == [1.0, 1.0]  # the first free cell wins too
    lost = [read(TIC_TAC_TOE, "x.. oo. x..")]
    assert finished(TIC_TAC_TOE, (FIRST, PERFECT), lost).tolist() == [0.0]
    assert finished(TIC_TAC_TOE, (PERFECT, PERFECT), [TIC_TAC_TOE.start]).tolist() == [0.5]


def test_colours_are_exchanged():
    starts = openings(TIC_TAC_TOE, 2, 10, numpy_rng(0, "o"))
    both = match(TIC_TAC_TOE, PERFECT, FIRST, starts)
    torch.testing.assert_close(both, 1 - match(TIC_TAC_TOE, FIRST, PERFECT, starts).flip(1))
    alike = match(TIC_TAC_TOE, FIRST, FIRST, starts)
    torch.testing.assert_close(alike.sum(1), torch.ones(10))


def test_openings_are_different_and_open():
    found = openings(TIC_TAC_TOE, 3, 40, numpy_rng(0, "o"))
    assert len(set(found)) == 40 and all(TIC_TAC_TOE.outcome(s) is None for s in found)
    assert all(s[0].bit_count() + s[1].bit_count() == 3 for s in found)
    with pytest.raises(ValueError, match="only 9 different positions after 1 moves"):
        openings(TIC_TAC_TOE, 1, 10, numpy_rng(0, "o"))


def test_elo_is_400_points_for_ten_to_one():
    points = torch.tensor([[0.0, 10.0], [1.0, 0.0]], dtype=torch.double)
    strength, error = elo(points)
    assert strength[0] - strength[1] == pytest.approx(400) and error[0, 1] > 0
    chain = torch.tensor([[0.0, 10, 0], [1, 0, 10], [0, 1, 0]], dtype=torch.double)  # the ends never met
    assert elo(chain)[0][0] - elo(chain)[0][2] == pytest.approx(800)


def test_random_play_against_itself_by_counting():
    chances = results(TIC_TAC_TOE, lambda s: TIC_TAC_TOE.actions(s)[0], TIC_TAC_TOE.actions)
    assert sum(chances) == pytest.approx(1) and min(chances) > 0

    def slow(state, mine):
        value = TIC_TAC_TOE.outcome(state)
        if value is not None:
            return value if mine else -value
        place = TIC_TAC_TOE.canonical(state)
        moves = [TIC_TAC_TOE.actions(place)[0]] if mine else TIC_TAC_TOE.actions(place)
        return sum(slow(TIC_TAC_TOE.play(place, a), not mine) for a in moves) / len(moves)

    assert chances[0] - chances[2] == pytest.approx(slow(TIC_TAC_TOE.start, True))


def test_perfect_play_is_never_beaten_and_the_first_free_cell_is():
    best = lambda s: perfect(TIC_TAC_TOE, s, KNOWN)[0]  # noqa: E731
    for first in (True, False):
        assert results(TIC_TAC_TOE, best, TIC_TAC_TOE.actions, first)[2] == 0
        lazy = results(TIC_TAC_TOE, lambda s: TIC_TAC_TOE.actions(s)[0], TIC_TAC_TOE.actions, first)
        assert lazy[2] > 0
    held = results(TIC_TAC_TOE, best, lambda s: perfect(TIC_TAC_TOE, s, KNOWN))
    assert held == (0.0, 1.0, 0.0)


def test_players_choose_legal_moves():
    board = Board(3, 4, 3, gravity=True)
    network = Network(board, width=8, generator=rng(0, "weights"))
    states = openings(board, 4, 8, numpy_rng(0, "o"))
    for player in (raw(network, board), searching(network, board, 6), unguided(board, 6, numpy_rng(0, "u"))):
        assert all(a in board.actions(s) for a, s in zip(player(states), states))
    by_search, by_network = searching(network, board, 1)(states), raw(network, board)(states)
    assert by_search == by_network  # one evaluation sees the priors and nothing else
    assert math.isclose(match(board, raw(network, board), raw(network, board), states).mean().item(), 0.5)
