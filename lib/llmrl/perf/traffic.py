r"""Numbers that move between a large slow memory and a small fast one, counted where they move.

A GPU computes only on what lies in its registers and the small memory beside them (SRAM); everything else waits in a
large memory that is many times slower (HBM). Code that is written in `load` and `store` can be counted: a number that
is loaded once and used a hundred times counts once. Attention without fusion writes its scores and its weights down and
reads each of them again, 4TS numbers; tiles move the same rest and none of those. How large a tile may be is decided
by what has to lie in the fast memory together.
Left out: caches that nobody manages, and loads that overlap with computing.

Shapes: (..) heads, T positions that look, S positions looked at, E width of a head, R rows and C columns of a tile.
"""

import torch

COLUMNS = 16  # of a tile, where the fast memory decides how many rows go with them


class Traffic:
    """Counts what passes: traffic.loaded, traffic.stored, in numbers."""

    def __init__(self):
        self.loaded = self.stored = 0

    def load(self, x):
        """x, from slow memory, in at least 32 bits, as kernels compute."""
        self.loaded += x.numel()
        return x.to(torch.promote_types(x.dtype, torch.float32))

    def store(self, place, x):
        """Write x into a part of slow memory."""
        self.stored += place.numel()
        place.copy_(x)

    @property
    def moved(self):
        return self.loaded + self.stored


def largest_tile(numbers, width):
    """(R, C) of the largest tile whose working set fits in so many numbers of fast memory.

    Queries and outputs take R E each, keys and values C E each, scores R C, the maximum and the sum of a row 2 R.
    """
    rows = (numbers - 2 * COLUMNS * width) // (2 * width + COLUMNS + 2)
    if rows < 1:
        least = 2 * COLUMNS * width + 2 * width + COLUMNS + 2
        raise ValueError(
            f"fast memory must hold at least {least:,} numbers for heads of width {width}, got {numbers:,}: one row of "
            f"queries and {COLUMNS} keys and values have to be there together"
        )
    return rows, COLUMNS


def numbers_moved(T, S, width, rows):
    """What tiles move for one head, everything visible: q in, output and log-sum out, k and v once per row of tiles."""
    return 2 * T * width + T + 2 * S * width * -(-T // rows)


def unfused(q, k, v, block, traffic):
    """Attention in three steps that meet in slow memory, everything visible.  (.., T, E), (.., S, E) -> (.., T, E)"""
    (R, C), T, S = block, q.shape[-2], k.shape[-2]
    rows, columns = ([slice(i, min(i + n, N)) for i in range(0, N, n)] for n, N in ((R, T), (C, S)))
    scores, weights = (q.new_empty(*q.shape[:-1], S) for _ in range(2))  # (.., T, S), both in slow memory
    out = torch.empty_like(q)
    for r in rows:
        q_r = traffic.load(q[..., r, :])
        for c in columns:
            traffic.store(scores[..., r, c], q_r @ traffic.load(k[..., c, :]).mT * q.shape[-1] ** -0.5)
    for r in rows:
        traffic.store(weights[..., r, :], traffic.load(scores[..., r, :]).softmax(-1))
    for r in rows:
        mixture = sum(traffic.load(weights[..., r, c]) @ traffic.load(v[..., c, :]) for c in columns)
        traffic.store(out[..., r, :], mixture)
    return out
