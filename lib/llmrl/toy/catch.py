"""A ball falls, a paddle moves: the smallest of video games, written down as an MDP.

The ball starts in the top row and falls one row per step; a wind may push it one column aside. The paddle in the
bottom row goes left, stays or goes right. Only the last step pays: 1 when the ball lands on the paddle, -1 when not.
What to do early is therefore learned from a reward many steps away. Left out: pixels; the features say in which cell
the ball is and in which column the paddle.
"""

import numpy as np

from llmrl.rl.mdp import MDP, absorbing


def catch(rows=8, columns=5, wind=0.2):
    """The game and what a player sees.  wind: the chance of a push, left and right alike.  -> MDP, features (S, D)

    Actions: 0 left, 1 stay, 2 right.  The last two states are the ends: caught and missed.
    """
    if rows < 2 or columns < 2:
        raise ValueError(f"catch needs 2 or more rows and columns, got {rows} x {columns}")
    if not 0 <= wind <= 1:
        raise ValueError(f"wind is the chance of a push and must lie in [0, 1], got {wind}")
    height = rows - 1  # rows in which the ball can be when the paddle still moves
    states = height * columns * columns + 2
    P, R = np.zeros((states, 3, states)), np.zeros((states, 3, states))
    for (y, x, paddle), action in _choices(height, columns):
        moved = min(max(paddle + action - 1, 0), columns - 1)
        here = (y * columns + x) * columns + paddle
        for push, chance in ((-1, wind / 2), (0, 1 - wind), (1, wind / 2)):
            lands = min(max(x + push, 0), columns - 1)
            after = ((y + 1) * columns + lands) * columns + moved if y + 1 < height else states - 2 + (lands != moved)
            P[here, action, after] += chance
    R[:, :, states - 2], R[:, :, states - 1] = 1.0, -1.0
    ends = np.arange(states) >= states - 2
    start = np.zeros(states)
    start[np.arange(columns) * columns + columns // 2] = 1 / columns
    return MDP.checked(*absorbing(P, R, ends), start, ends), _seen(height, columns)


def _choices(height, columns):
    return ((place, action) for place in np.ndindex(height, columns, columns) for action in range(3))


def _seen(height, columns):
    """One number per cell of the ball and one per column of the paddle; nothing at the end.  (S, D) float32"""
    cells = height * columns
    seen = np.zeros((cells * columns + 2, cells + columns), dtype=np.float32)
    state = np.arange(cells * columns)
    seen[state, state // columns] = 1.0
    seen[state, cells + state % columns] = 1.0
    return seen
