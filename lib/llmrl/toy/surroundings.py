"""What a walker feels of a grid: which of the four sides are blocked.

Many cells feel the same, so this is the simplest way to know less than the state. Actions and cells are those of the
grids here: left, down, right, up; row by row.
Left out: seeing farther than one cell.
"""

import numpy as np

from llmrl.toy.grid_map import ARROWS


def surroundings(rows):
    """(S,) whole numbers from 0: cells with the same blocked sides share one.  rows: a grid as text, # is a wall"""
    if len({len(row) for row in rows}) != 1:
        raise ValueError(f"a grid needs rows of one length, got {rows!r}")
    inside = np.array([list(row) for row in rows]) != "#"
    padded = np.pad(inside, 1)  # the rim is a wall
    free = [np.roll(padded, (-down, -right), (0, 1))[1:-1, 1:-1] for right, down in ARROWS]
    pattern = sum(2**side * ~open_side for side, open_side in enumerate(free))  # 0 to 15
    return np.unique(pattern.ravel(), return_inverse=True)[1]
