"""Boards against numbers that others counted, and against a second way to see who has won."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.toy.boards import TIC_TAC_TOE, Board, perfect, read, solve

DROP = Board(4, 4, 4, gravity=True)


def test_tic_tac_toe_as_everybody_knows_it():
    known = solve(TIC_TAC_TOE)
    assert len(known) == 5478 and known[TIC_TAC_TOE.start] == 0
    assert perfect(TIC_TAC_TOE, TIC_TAC_TOE.start, known) == list(range(9))  # every first move holds the draw

    def games(state):
        moves = TIC_TAC_TOE.actions(state)
        return 1 if TIC_TAC_TOE.outcome(state) is not None else sum(games(TIC_TAC_TOE.play(state, a)) for a in moves)

    corner, edge, centre = (games(TIC_TAC_TOE.play(TIC_TAC_TOE.start, first)) for first in (0, 1, 4))
    assert 4 * corner + 4 * edge + centre == 255168


def test_lines():
    assert len(TIC_TAC_TOE.lines) == 8 and len(DROP.lines) == 10 and len(Board(4, 4, 3).lines) == 24


@pytest.mark.slow
def test_connect_four_on_four_by_four():
    known = solve(DROP)
    assert len(known) == 161029 and known[DROP.start] == 0  # OEIS A212693: 161029 positions; the game is a draw


def has_line(text, mark, line):
    """Who has won, read off the letters."""
    rows = text.split()
    cells = {(r, c) for r, row in enumerate(rows) for c, letter in enumerate(row) if letter == mark}
    ways = ((0, 1), (1, 0), (1, 1), (1, -1))
    return any(all((r + i * y, c + i * x) in cells for i in range(line)) for r, c in cells for y, x in ways)


@given(st.sampled_from([TIC_TAC_TOE, DROP, Board(3, 5, 3, True), Board(2, 4, 2)]), st.lists(st.integers(0, 99)))
@settings(max_examples=60, deadline=None)
def test_a_game_move_by_move(board, choices):
    state, turn = board.start, 0
    for choice in choices:
        text = board.drawn(state)
        assert read(board, text) == state
        won = has_line(text, "xo"[1 - turn % 2], board.line)
        assert not has_line(text, "xo"[turn % 2], board.line)
        assert board.outcome(state) == (-1.0 if won else 0.0 if "." not in text else None)
        if board.outcome(state) is not None:
            return
        actions = board.actions(state)
        after = board.play(state, actions[choice % len(actions)])
        changed = [i for i, (a, b) in enumerate(zip(text, board.drawn(after))) if a != b]
        assert len(changed) == 1 and text[changed[0]] == "." and board.drawn(after)[changed[0]] == "xo"[turn % 2]
        if board.gravity:  # nothing hangs in the air
            below = changed[0] + board.columns + 1
            assert below >= len(text) or text[below] != "."
        state, turn = after, turn + 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: TIC_TAC_TOE.play((0b1, 0b10), 1), "1 is no legal move"),
        (lambda: TIC_TAC_TOE.play((0, 0), 9), "9 is no legal move"),
        (lambda: TIC_TAC_TOE.play((0, 0), -1), "-1 is no legal move"),
        (lambda: DROP.play((0, 0), 4), "these are: "),
        (lambda: Board(3, 3, 4), "a line of 4"),
        (lambda: Board(3, 3, 1), "a line of 1"),
        (lambda: read(TIC_TAC_TOE, "x.. ..."), "3 rows of 3"),
        (lambda: read(TIC_TAC_TOE, "xx. ... ..."), "x moves first"),
    ],
)
def test_what_is_no_game_is_said(call, says):
    with pytest.raises(ValueError, match=says):
        call()
