r"""Board games that are small enough to be solved: tic-tac-toe, and counters dropped into columns.

Two players put their own mark on a board in turn; who has `line` marks in a row, a column or a diagonal has won, and a
full board is a draw. In tic-tac-toe any free cell may be taken; with gravity a counter falls to the lowest free cell of
its column (Connect Four, made smaller). A state is two sets of cells as the bits of two whole numbers: the marks of the
player to move, and those of the other. Seen that way the board looks the same to both players.
`solve` writes down what every position is worth under perfect play. Turned and mirrored boards are the same game.
Left out: games in which a player moves twice or passes.
"""

from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Board:
    """A game for two in the form that llmrl.reasoning.mcts plays.  A state: (mine, theirs), bit r * columns + c"""

    rows: int = 3
    columns: int = 3
    line: int = 3
    gravity: bool = False
    players: int = 2

    def __post_init__(self):
        if min(self.rows, self.columns) < 1 or not 2 <= self.line <= max(self.rows, self.columns):
            raise ValueError(
                f"a line of {self.line} must have 2 marks or more and fit on {self.rows} x {self.columns} cells"
            )

    @cached_property
    def lines(self):
        """Every set of cells that wins."""
        found = []
        for r in range(self.rows):
            for c in range(self.columns):
                for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                    cells = [(r + i * down, c + i * right) for i in range(self.line)]
                    if all(0 <= y < self.rows and 0 <= x < self.columns for y, x in cells):
                        found.append(sum(1 << (y * self.columns + x) for y, x in cells))
        return tuple(found)

    @cached_property
    def full(self):
        return (1 << self.rows * self.columns) - 1

    start = (0, 0)

    def cell(self, state, action):
        """The cell that an action fills, None when there is none: a cell, or with gravity a column."""
        taken = state[0] | state[1]
        if not self.gravity:
            return action if 0 <= action < self.rows * self.columns and not taken >> action & 1 else None
        if 0 <= action < self.columns:
            for r in range(self.rows - 1, -1, -1):
                if not taken >> (r * self.columns + action) & 1:
                    return r * self.columns + action
        return None

    def actions(self, state):
        """What the player to move may do: cells row by row, or columns from the left."""
        taken = state[0] | state[1]
        if self.gravity:  # a column is open while its top cell is
            return [c for c in range(self.columns) if not taken >> c & 1]
        return [cell for cell in range(self.rows * self.columns) if not taken >> cell & 1]

    def play(self, state, action):
        """The position after a move, as the other player sees it."""
        cell = self.cell(state, action)
        if cell is None:
            raise ValueError(f"{action!r} is no legal move here, these are: {self.actions(state)}\n{self.drawn(state)}")
        return state[1], state[0] | 1 << cell

    def outcome(self, state):
        """None while the game goes on; else -1 when the player to move has lost, 0 for a draw."""
        mine, theirs = state
        for line in self.lines:
            if theirs & line == line:
                return -1.0
        return 0.0 if mine | theirs == self.full else None

    @cached_property
    def moves(self):
        """The number of different actions: actions are 0 to moves - 1."""
        return self.columns if self.gravity else self.rows * self.columns

    @cached_property
    def symmetries(self):
        """Ways to turn and mirror the board: for every cell the cell that takes its place, the board itself first."""
        grid = [[r * self.columns + c for c in range(self.columns)] for r in range(self.rows)]
        mirror, flip = [row[::-1] for row in grid], grid[::-1]
        found = [grid, mirror] if self.gravity else [grid, mirror, flip, [row[::-1] for row in flip]]
        if not self.gravity and self.rows == self.columns:
            found += [list(zip(*rows)) for rows in found]
        return tuple(tuple(cell for row in rows for cell in row) for rows in found)

    def turned(self, state, symmetry):
        """The state with every cell moved to its new place."""
        return tuple(sum(1 << new for old, new in enumerate(symmetry) if marks >> old & 1) for marks in state)

    def canonical(self, state):
        """One and the same state for all that are turned or mirrored into each other."""
        return min(self.turned(state, symmetry) for symmetry in self.symmetries)

    def drawn(self, state):
        """The board in letters: x moves first."""
        mine, theirs = state
        to_move = "xo"[(mine.bit_count() + theirs.bit_count()) % 2]
        other = "xo".replace(to_move, "")
        cell = lambda i: to_move if mine >> i & 1 else other if theirs >> i & 1 else "."  # noqa: E731
        return "\n".join("".join(cell(r * self.columns + c) for c in range(self.columns)) for r in range(self.rows))


TIC_TAC_TOE = Board()


def read(board, text):
    """The state that `Board.drawn` would draw as this text, whose rows stand in lines."""
    rows = text.split()
    if len(rows) != board.rows or any(len(row) != board.columns or set(row) - set("xo.") for row in rows):
        raise ValueError(f"{board.rows} rows of {board.columns} letters x, o or . describe this board, got {rows}")
    marks = {who: sum(1 << i for i, mark in enumerate("".join(rows)) if mark == who) for who in "xo"}
    ahead = marks["x"].bit_count() - marks["o"].bit_count()
    if ahead not in (0, 1):
        raise ValueError(f"x moves first, so it has as many marks as o or one more, here {ahead} more")
    return (marks["x"], marks["o"]) if ahead == 0 else (marks["o"], marks["x"])


def solve(board, state=None, known=None):
    """Minimax: what a position and all that can follow are worth to the player to move.  -> {state: 1, 0 or -1}"""
    known = {} if known is None else known
    _solved(board, board.start if state is None else state, known)
    return known


def _solved(board, state, known):
    if state not in known:
        value = board.outcome(state)
        if value is None:
            value = max(-_solved(board, board.play(state, action), known) for action in board.actions(state))
        known[state] = int(value)
    return known[state]


def perfect(board, state, known):
    """All moves that keep what the position is worth, by a table from solve()."""
    return [a for a in board.actions(state) if -known[board.play(state, a)] == known[state]]
