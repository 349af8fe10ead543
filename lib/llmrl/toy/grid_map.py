"""A grid drawn with what is known about its cells: the value of each as a shade and a number, the policy as arrows.

Whoever plans on a grid looks at two things: does worth spread from the goal, and do the arrows follow it. Cells are
numbered row by row, and the actions are those of the grids here: left, down, right, up.
Left out: Q values, four to a cell.

Shapes: S cells, A = 4 actions.
"""

import numpy as np

ARROWS = ((-1, 0), (0, 1), (1, 0), (0, -1))  # left, down, right, up: (to the right, downward)
NAMES = {"S": "start", "G": "goal", "H": "hole", "#": "wall"}


def grid_map(ax, rows, values, policy=None, limits=None, numbers=True):
    """Draw values (S,) and a policy (S, 4) on a grid given as text rows; ends carry names.  limits: (low, high)

    The likelier an action, the longer its arrow. -> ax, whose image is ax.images[0] for a colour bar
    """
    shape = len(rows), len(rows[0])
    values = np.asarray(values, dtype=float)
    if values.shape != (shape[0] * shape[1],):
        raise ValueError(f"a grid of {shape[0]} x {shape[1]} needs {shape[0] * shape[1]} values, got {values.shape}")
    low, high = limits or (values.min(), values.max())
    ax.imshow(values.reshape(shape), vmin=low, vmax=high, interpolation="nearest")
    ax.set(xticks=[], yticks=[])
    ax.grid(False)
    size = 11 if shape[1] <= 4 else 7
    for (r, c), value in np.ndenumerate(values.reshape(shape)):
        ink = "black" if value > (low + high) / 2 else "white"
        ends = rows[r][c] in "GH#"
        if ends:
            ax.text(c, r, NAMES[rows[r][c]], ha="center", va="center", color=ink, fontsize=size - 1)
        elif numbers:
            ax.text(c, r + 0.38, f"{value:.2f}", ha="center", va="center", color=ink, fontsize=size - 2)
        if policy is not None and not ends:
            _arrows(ax, r - 0.16 * numbers, c, np.asarray(policy)[r * shape[1] + c], ink)
    return ax


def _arrows(ax, r, c, chances, ink):
    taken = chances > 0.01
    reach = (0.16 + 0.12 * chances[taken])[:, None] * np.array(ARROWS)[taken]  # (K, 2), in cells
    heads = {"headwidth": 3.5, "headlength": 3, "headaxislength": 3, "width": 0.04}
    ax.quiver(
        np.full(len(reach), c), r, *reach.T, color=ink, angles="xy", scale_units="xy", scale=1, units="xy", **heads
    )
