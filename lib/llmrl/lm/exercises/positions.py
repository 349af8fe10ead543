"""Exercises on positions: a turn, a fine, and a text longer than the trained ones.

Each checker probes the case somebody gets wrong: which two numbers make a pair, which way a pair turns, a number of
heads that is no power of two, which end of the frequencies is slowed.
Left out: YaRN's ramp, which the library's own lines show.
"""

import math

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import positions


def _turned(x, angle, halves=True, plus=1):
    """x with its pairs turned by the angles (T, E/2), or nearly."""
    cos, sin = angle.cos(), angle.sin()
    a, b = x.chunk(2, -1) if halves else (x[..., 0::2], x[..., 1::2])
    parts = a * cos - b * sin, a * sin + plus * b * cos
    return torch.cat(parts, -1) if halves else torch.stack(parts, -1).flatten(-2)


def _angle(x, where, base, power=2.0):
    width = x.shape[-1]
    return where[:, None] * base ** (-power * torch.arange(width // 2) / width)


@exercise(
    "lm.rope",
    title="Turn queries and keys",
    signature="rope(x: (..., T, E), positions: (T,), base) -> (..., T, E); a pair is (x[j], x[j + E/2])",
    solution="llmrl.lm.positions.rope",
    minutes=15,
    difficulty=2,
    hints=(
        "theta = base ** (-2 * arange(E/2) / E) and angle = positions[:, None] * theta, of shape (T, E/2).",
        "a, b = x.chunk(2, -1). The turned pair is (a cos - b sin, a sin + b cos); torch.cat puts the halves back.",
    ),
    wrong=(
        Wrong(
            "neighbours were paired; here the first half is paired with the second, as in Llama",
            lambda x, where, base=1e4: _turned(x, _angle(x, where, base), halves=False),
        ),
        Wrong(
            "the pairs turn the other way; attention would survive it, other people's weights would not",
            lambda x, where, base=1e4: _turned(x, -_angle(x, where, base)),
        ),
        Wrong(
            "the exponent is j/E where it should be 2j/E, so slow pairs turn too fast",
            lambda x, where, base=1e4: _turned(x, _angle(x, where, base, 1.0)),
        ),
        Wrong(
            "every pair turned at the same speed; pair j turns by position times base ** (-2j/E)",
            lambda x, where, base=1e4: _turned(x, _angle(x, where, base, 0.0)),
        ),
        Wrong(
            "the position went unused, as if every row stood at position 1",
            lambda x, where, base=1e4: _turned(x, _angle(x, torch.ones_like(where), base)),
        ),
        Wrong(
            "the base is an argument, and it was not used",
            lambda x, where, base=1e4: _turned(x, _angle(x, where, 10000.0)),
        ),
        Wrong(
            "both halves were multiplied by cos + sin of their own; a turn mixes the two numbers of a pair",
            lambda x, where, base=1e4: x * (_angle(x, where, base).cos() + _angle(x, where, base).sin()).repeat(1, 2),
        ),
        Wrong(
            "the lengths changed: the second number of a turned pair is a sin + b cos, with a plus",
            lambda x, where, base=1e4: _turned(x, _angle(x, where, base), plus=-1),
        ),
    ),
)
def rope(answer, solution):
    one = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 2.0]])
    where = torch.tensor([0, 1, 2])
    yield differs(answer(one, where, 10.0), solution(one, where, 10.0), "on one pair at positions 0, 1 and 2")
    x = torch.arange(1.0, 17.0).reshape(1, 2, 8)
    where = torch.tensor([3, 7])
    yield differs(answer(x, where, 100.0), solution(x, where, 100.0), "on four pairs at positions 3 and 7, base 100")


def _row(heads, last=8.0):
    return torch.tensor([2.0 ** (-last * h / heads) for h in range(1, heads + 1)])


def _lower(heads):
    return 2 ** int(math.log2(heads))


def _filled(heads, more):
    lower = _lower(heads)
    return torch.cat([_row(lower), more(_row(2 * lower))])[:heads]


@exercise(
    "lm.alibi_slopes",
    title="One slope per head, for any number of heads",
    signature="alibi_slopes(heads) -> (heads,)",
    solution="llmrl.lm.positions.alibi_slopes",
    minutes=12,
    difficulty=2,
    hints=(
        "For a power of two n, slope h is 2 ** (-8 h / n) with h = 1 .. n: the last is always 1/256.",
        "Otherwise: all slopes of the next lower power of two, then numbers 1, 3, 5, ... of the row for twice as many.",
    ),
    wrong=(
        Wrong(
            "for a number that is no power of two, take the rows of the powers of two around it",
            lambda heads: _row(heads),
        ),
        Wrong(
            "the slopes fall by a factor each, a geometric row, not by equal steps",
            lambda heads: torch.arange(heads, 0, -1) / heads,
        ),
        Wrong(
            "heads count from 1: the first slope is 2 ** (-8 / n), not 1",
            lambda heads: torch.tensor([2.0 ** (-8 * h / heads) for h in range(heads)]),
        ),
        Wrong(
            "every slope is half the one before it only when there are eight heads; the row always ends at 1/256",
            lambda heads: torch.tensor([2.0**-h for h in range(1, heads + 1)]),
        ),
        Wrong(
            "the slopes that are added are numbers 1, 3, 5 of the longer row; 2, 4, 6 are there already",
            lambda heads: _filled(heads, lambda row: row[1::2]),
        ),
        Wrong(
            "the longer row was cut off at the number of heads; its gentlest slopes are missing",
            lambda heads: _row(heads) if heads == _lower(heads) else _row(2 * _lower(heads))[:heads],
        ),
        Wrong("slopes are positive; the minus stands in the bias", lambda heads: -positions.alibi_slopes(heads)),
    ),
)
def alibi_slopes(answer, solution):
    for heads in (8, 4, 12, 6, 1):
        yield differs(answer(heads), solution(heads), f"for {heads} heads" if heads > 1 else "for one head")


@exercise(
    "lm.ntk_base",
    title="A base that slows only what has to be slowed",
    signature="ntk_base(base, scale, width) -> the new base, a float; width is E",
    solution="llmrl.lm.context.ntk_base",
    minutes=12,
    difficulty=2,
    hints=(
        "The slowest pair is j = E/2 - 1, of frequency base ** (-(E - 2) / E). It should get scale times slower.",
        "Solve new ** ((E - 2) / E) = scale * base ** ((E - 2) / E) for new.",
    ),
    wrong=(
        Wrong(
            "the slowest pair has the exponent (E-2)/E, so the base grows by more than the scale",
            lambda base, scale, width: float(base * scale),
        ),
        Wrong(
            "the exponent is upside down; solve for the new base",
            lambda base, scale, width: base * scale ** ((width - 2) / width),
        ),
        Wrong(
            "a smaller base turns slow pairs faster; it has to grow",
            lambda base, scale, width: base / scale ** (width / (width - 2)),
        ),
        Wrong(
            "the scale was taken to the power of the width; slow pairs would nearly stand still",
            lambda base, scale, width: float(base * scale**width),
        ),
        Wrong("the width counts numbers, not pairs", lambda b, s, width: b * s ** (width / 2 / (width / 2 - 2))),
        Wrong(
            "the scale itself was meant, not its logarithm",
            lambda base, scale, width: base * (1 + math.log(scale)) ** (width / (width - 2)),
        ),
    ),
)
def ntk_base(answer, solution):
    for base, scale, width in ((10000.0, 4.0, 8), (100.0, 2.0, 16), (500000.0, 8.0, 128)):
        case = f"for base {base:g}, scale {scale:g} and width {width}"
        yield differs(answer(base, scale, width), solution(base, scale, width), case)
        theta = positions.frequencies(width, float(answer(base, scale, width)))
        slowed = positions.frequencies(width, base)[-1] / theta[-1]
        yield differs(slowed, torch.tensor(scale), f"{case}, the slowest pair turns slower by a factor that", tol=1e-3)
