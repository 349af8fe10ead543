"""Exercises on attention by tiles: blocks of a softmax, the mask, the gradient of a tile, what moves.

Left out: kernels.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.perf.online_softmax import State, anchored, state_of
from llmrl.seeds import rng


def _joined(m=None, l=None, o=None):  # noqa: E741
    """A wrong version of combine: what is None is right."""
    from llmrl.perf.online_softmax import combine

    def wrong(a, b):
        right = combine(a, b)
        given = {"m": m, "l": l, "o": o}
        return right._replace(**{name: part(a, b) for name, part in given.items() if part})

    return wrong


def _unanchored(a, b):
    m = torch.maximum(a.m, b.m)
    x, y = (a.m - m).exp(), (b.m - m).exp()
    return State(m, a.l * x + b.l * y, a.o * x[..., None] + b.o * y[..., None])


def _summed(a, b):
    """m as a sum of exponentials, as if it were the logsumexp."""
    return torch.logaddexp(a.m, b.m)


def _scale(one, other):
    return (one.m - anchored(torch.maximum(one.m, other.m))).exp()


def _swapped(a, b):
    x, y = _scale(b, a), _scale(a, b)
    return State(torch.maximum(a.m, b.m), a.l * x + b.l * y, a.o * x[..., None] + b.o * y[..., None])


@exercise(
    "perf.combine",
    title="Two blocks become one",
    signature="combine(a, b) -> State(m, l, o); m, l (..), o (.., E)",
    solution="llmrl.perf.online_softmax.combine",
    minutes=12,
    difficulty=2,
    hints=(
        "The new maximum is the larger of the two. A state that was made with a smaller one is too large by "
        "e^(new - old): bring l and o of both sides to the new maximum before you add them.",
        "scale_a = (a.m - anchored(m)).exp(), likewise b; l = a.l * scale_a + b.l * scale_b; o needs scale[..., None]. "
        "anchored(m) is 0 where m is -inf: a row that saw nothing would otherwise compute -inf + inf, which is nan.",
    ),
    wrong=(
        Wrong(
            "l of the side with the smaller maximum is in other units: multiply it by e^(its m - the new m)",
            _joined(l=lambda a, b: a.l + b.l),
        ),
        Wrong(
            "o of the side with the smaller maximum is in other units: multiply it as you did with l",
            _joined(o=lambda a, b: a.o + b.o),
        ),
        Wrong(
            "only the newer block was brought to the new maximum; the older one may have the smaller maximum, too",
            lambda a, b: State(torch.maximum(a.m, b.m), a.l + b.l * _scale(b, a), a.o + b.o * _scale(b, a)[..., None]),
        ),
        Wrong("a row that saw nothing yet has m = -inf, and -inf minus -inf is nan: use anchored(m)", _unanchored),
        Wrong("the scales are exchanged: a's l and o belong to a's maximum", _swapped),
        Wrong("m is the largest score, not the logsumexp of the two", _joined(m=_summed)),
        Wrong(
            "o stays a sum until the end: dividing by l comes once, in finish",
            lambda a, b: (r := _joined()(a, b))._replace(o=r.o / r.l.clamp(min=1e-30)[..., None]),
        ),
    ),
)
def combine(answer, solution):
    v = torch.tensor([[1.0, 0.0], [0.0, 1.0], [2.0, 2.0]])
    for case, (x, y) in {
        "on scores 1, 2, 3 and then 5, 0, 1": ([1.0, 2.0, 3.0], [5.0, 0.0, 1.0]),
        "on scores 5, 0, 1 and then 1, 2, 3": ([5.0, 0.0, 1.0], [1.0, 2.0, 3.0]),
        "where nothing was seen in either": ([-torch.inf] * 3, [-torch.inf] * 3),
        "where nothing was seen in the first": ([-torch.inf] * 3, [0.0, 1.0, 2.0]),
    }.items():
        a, b = (state_of(torch.tensor([scores]), v) for scores in (x, y))
        yield differs(tuple(answer(a, b)), tuple(solution(a, b)), case)


@exercise(
    "perf.tile_kind",
    title="Whole, cut, or not at all",
    signature='tile_kind(rows: (first, end), columns: (first, end), past=0) -> "whole", "cut" or "skip"',
    solution="llmrl.perf.attention.tile_kind",
    minutes=8,
    difficulty=1,
    hints=(
        "Row t stands at position past + t and sees the columns up to that position. The end of a range is not in it. "
        "The last row sees most, the first row least.",
        "skip: even the last row, past + rows[1] - 1, comes before columns[0]. whole: even the first row, "
        "past + rows[0], sees the last column, columns[1] - 1.",
    ),
    wrong=(
        Wrong(
            "row t sees column t itself: where the last row meets the first column, the tile is cut, not skipped",
            lambda r, c, past=0: "skip" if c[0] >= past + r[1] - 1 else "whole" if c[1] - 1 <= past + r[0] else "cut",
        ),
        Wrong(
            "the end of a range is not part of it: the last row is rows[1] - 1",
            lambda r, c, past=0: "skip" if c[0] > past + r[1] else "whole" if c[1] - 1 <= past + r[0] else "cut",
        ),
        Wrong(
            "a tile is whole when its first row sees its last column; here the last row was asked",
            lambda r, c, past=0: (
                "skip" if c[0] > past + r[1] - 1 else "whole" if c[1] - 1 <= past + r[1] - 1 else "cut"
            ),
        ),
        Wrong(
            "a tile is skipped when nobody in it sees anything; here the first row was asked, and later rows see more",
            lambda r, c, past=0: "skip" if c[0] > past + r[0] else "whole" if c[1] - 1 <= past + r[0] else "cut",
        ),
        Wrong(
            "with a cache, row 0 stands at position `past`",
            lambda r, c, past=0: "skip" if c[0] > r[1] - 1 else "whole" if c[1] - 1 <= r[0] else "cut",
        ),
        Wrong(
            "the last column is columns[1] - 1: a tile that ends just before the diagonal is whole",
            lambda r, c, past=0: "skip" if c[0] > past + r[1] - 1 else "whole" if c[1] <= past + r[0] else "cut",
        ),
    ),
)
def tile_kind(answer, solution):
    cases = [
        ((4, 8), (5, 9), 0),
        ((4, 8), (7, 9), 0),
        ((0, 4), (4, 8), 0),
        ((4, 8), (0, 4), 0),
        ((4, 8), (0, 5), 0),
        ((4, 8), (4, 8), 0),
    ]
    cases += [((4, 8), (0, 6), 0), ((4, 8), (6, 10), 0), ((0, 2), (4, 6), 4), ((0, 4), (8, 9), 0), ((0, 2), (0, 4), 4)]
    for rows, columns, past in cases:
        case = f"for rows {rows}, columns {columns}, past = {past}"
        yield differs(answer(rows, columns, past), solution(rows, columns, past), case)


@exercise(
    "perf.score_gradient",
    title="Backward, one tile at a time",
    signature="score_gradient(p: (.., R, C), do: (.., R, E), v: (.., C, E), o: (.., R, E)) -> ds (.., R, C)",
    solution="llmrl.perf.attention.score_gradient",
    minutes=8,
    difficulty=3,
    hints=(
        "The gradient of a weight p is dp = do v^T. Softmax turns it into ds = p (dp - sum over ALL columns of p dp). "
        "The tile has only some of the columns: look for that sum elsewhere.",
        "sum_j p_j dp_j = sum_j p_j (do . v_j) = do . (sum_j p_j v_j) = do . o, and o is there whole: "
        "(do * o).sum(-1, keepdim=True).",
    ),
    wrong=(
        Wrong(
            "the sum runs over all columns of the row, and the tile has only some; do and o know it",
            lambda p, do, v, o: p * (do @ v.mT - (p * (do @ v.mT)).sum(-1, keepdim=True)),
        ),
        Wrong("that is the gradient of the weights; softmax ties them to each other", lambda p, do, v, o: do @ v.mT),
        Wrong(
            "the weights of a row keep the sum 1: what its columns have in common, do . o, has to be taken off",
            lambda p, do, v, o: p * (do @ v.mT),
        ),
        Wrong(
            "take the sum over the width with the sign of the formula: minus",
            lambda p, do, v, o: p * (do @ v.mT + (do * o).sum(-1, keepdim=True)),
        ),
        Wrong("the factor p in front is missing", lambda p, do, v, o: do @ v.mT - (do * o).sum(-1, keepdim=True)),
        Wrong(
            "do . o is a sum over the width, not a mean",
            lambda p, do, v, o: p * (do @ v.mT - (do * o).mean(-1, keepdim=True)),
        ),
        Wrong(
            "p (1 - p) is the slope of a sigmoid, the softmax of two; here every column moves all weights",
            lambda p, do, v, o: p * (1 - p) * (do @ v.mT),
        ),
    ),
)
def score_gradient(answer, solution):
    scores, v, do = (torch.randn(*s, generator=rng(0, "tile", *s)) for s in ((4, 6), (6, 3), (4, 3)))
    p = scores.softmax(-1)
    for case, part in {"on the first four columns of six": slice(0, 4), "on all six columns": slice(0, 6)}.items():
        inputs = p[:, part], do, v[part], p @ v
        yield differs(answer(*inputs), solution(*inputs), case)


@exercise(
    "perf.numbers_moved",
    title="What passes between the memories",
    signature="numbers_moved(T, S, width, rows) -> a whole number",
    solution="llmrl.perf.traffic.numbers_moved",
    minutes=8,
    difficulty=2,
    hints=(
        "Count per head, everything visible. A tile of rows loads its queries once and stores its output and one "
        "logsumexp per row once. What does it load again and again?",
        "All S keys and values, 2 * S * width numbers, once for every tile of rows; there are T / rows of those, "
        "rounded up: -(-T // rows).",
    ),
    wrong=(
        Wrong("each tile of rows loads all keys and values again", lambda T, S, E, R: 2 * T * E + T + 2 * S * E),
        Wrong(
            "keys and values are loaded once per tile of rows, not once per row",
            lambda T, S, E, R: 2 * T * E + T + 2 * S * E * T,
        ),
        Wrong("values are loaded as often as keys are", lambda T, S, E, R: 2 * T * E + T + S * E * -(-T // R)),
        Wrong(
            "a last tile with fewer rows loads everything, too: round up",
            lambda T, S, E, R: 2 * T * E + T + 2 * S * E * (T // R),
        ),
        Wrong("the output is stored as well, T * width numbers", lambda T, S, E, R: T * E + T + 2 * S * E * -(-T // R)),
        Wrong(
            "one logsumexp per row is stored for the backward pass",
            lambda T, S, E, R: 2 * T * E + 2 * S * E * -(-T // R),
        ),
        Wrong(
            "scores and weights never leave the fast memory",
            lambda T, S, E, R: 2 * T * E + T + 2 * S * E * -(-T // R) + 4 * T * S,
        ),
        Wrong(
            "there are numbers only in whole: use // and not /", lambda T, S, E, R: 2 * T * E + T + 2 * S * E * T / R
        ),
    ),
)
def numbers_moved(answer, solution):
    for T, S, width, rows in ((100, 80, 8, 30), (64, 64, 16, 16), (5, 7, 4, 8)):
        case = f"for T = {T}, S = {S}, width {width}, {rows} rows"
        yield differs(answer(T, S, width, rows), solution(T, S, width, rows), case)
