"""Which of two models is better, prompt by prompt, and how sure one can be after a few seeds.

Both answer the same prompts, so each prompt is a small contest. A difference between methods has to be larger than what
another seed would have changed; after three seeds the 95 percent interval is more than four standard errors wide to
either side, because the error itself is known from three numbers only (Student's t).
Left out: tests of many methods at once. Of ten methods one looks best even if all are alike.
"""

import math
from statistics import mean, stdev

T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}  # 97.5 percent


def win_rate(ours, theirs):
    """The share of prompts that we win, a draw counting one half, and its standard error.  (N,), (N,) -> two numbers"""
    ours, theirs = (list(map(float, rewards)) for rewards in (ours, theirs))
    if len(ours) != len(theirs) or len(ours) < 2 or not all(map(math.isfinite, ours + theirs)):
        raise ValueError(
            f"both need finite rewards for the same prompts, two or more, got {len(ours)} and {len(theirs)}: "
            f"a contest has two sides"
        )
    won = [1.0 if a > b else 0.5 if a == b else 0.0 for a, b in zip(ours, theirs)]
    return mean(won), stdev(won) / len(won) ** 0.5


def interval(values):
    """Mean and half the width of the 95 percent interval, by Student's t.  two to ten numbers -> two numbers"""
    values = list(map(float, values))
    if len(values) not in T or not all(map(math.isfinite, values)):
        raise ValueError(f"an interval needs two to ten finite numbers, one per seed, got {values}")
    return mean(values), T[len(values)] * stdev(values) / len(values) ** 0.5
