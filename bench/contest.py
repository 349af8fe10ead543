"""Two ways to do the same work, timed in turns.

A machine is never quiet and never twice the same, so seconds alone say little. Here ours and theirs alternate within
one run, every round gives one ratio of speeds, and a row reports the median of the ratios and the middle half of them.
Before the clock starts both sides must have shown that they compute the same. Left out: statistics of rare outliers.
"""

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

ROWS = {}


@dataclass(frozen=True)
class Contest:
    """What is timed, and how much work one call does."""

    ours: Callable
    theirs: Callable
    work: float | tuple  # units per call; (ours, theirs) where a call of the one does more than a call of the other
    unit: str
    aim: float  # the ratio hoped for
    note: str = ""  # what else was counted


def row(name, threads=(1, 2)):
    """Register a function(quick) -> Contest under a name; it raises when the two sides do not agree."""

    def register(build):
        ROWS[name] = (build, threads)
        return build

    return register


def agree(what, ours, theirs, tolerance=1e-5):
    """The precondition of a row: two numbers, or two lists of ids, are the same."""
    same = math.isclose(ours, theirs, rel_tol=0, abs_tol=tolerance) if isinstance(ours, float) else ours == theirs
    if not same:
        raise ValueError(
            f"{what} must be the same on both sides before they are timed, got {str(ours)[:60]} and "
            f"{str(theirs)[:60]}: a faster way to compute something else is no news"
        )


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def compare(contest, rounds):
    """Time ours and theirs in turns.  -> median and quartiles of the ratio of speeds, and both speeds"""
    contest.ours(), contest.theirs()  # the first call of anything is slow
    times = [(seconds(contest.ours), seconds(contest.theirs)) for _ in range(rounds)]
    ours, theirs = contest.work if isinstance(contest.work, tuple) else (contest.work, contest.work)
    ratios = [(ours / a) / (theirs / b) for a, b in times]
    low, middle, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {
        "ratio": round(middle, 3),
        "quartiles": [round(low, 3), round(high, 3)],
        "ours": round(ours / statistics.median(a for a, _ in times), 1),
        "theirs": round(theirs / statistics.median(b for _, b in times), 1),
        "unit": contest.unit,
        "aim": contest.aim,
        "rounds": rounds,
        **({"note": contest.note} if contest.note else {}),
    }
