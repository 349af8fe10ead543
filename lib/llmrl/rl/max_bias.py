r"""How wrong the largest of several means is, exactly.

Each of A actions pays 1 or 0, action a with probability p[a], and has been tried n times. The largest of the A means is
too high on average, although every one of them is right: the maximum picks the lucky ones. Two independent sets of
n tries, one to choose by and one to rate with, are never too high; where actions differ they are too low, because
sometimes a worse one is chosen (van Hasselt 2010). Counts of successes are binomial, so both biases are finite sums.
Left out: means of anything but 0 and 1; unequal numbers of tries.

Shapes: A actions, n tries.
"""

from math import comb

import numpy as np
from numpy.polynomial import Polynomial


def binomial(chances, n):
    """The probabilities of 0 to n successes in n tries.  chances (A,) -> (A, n+1)"""
    chances = np.asarray(chances, dtype=float)
    if chances.ndim != 1 or not len(chances) or not ((chances >= 0) & (chances <= 1)).all():
        raise ValueError(f"chances must be a list of numbers from 0 to 1, got {chances}")
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of 1 or more tries, got {n!r}: without one there is no mean")
    k = np.arange(n + 1)
    ways = np.array([comb(int(n), int(i)) for i in k], dtype=float)
    return ways * chances[:, None] ** k * (1 - chances[:, None]) ** (n - k)


def single_bias(chances, n):
    r"""$E[\max_a\hat\mu_a]-\max_a\mu_a$: choosing and rating by the same tries.  chances (A,)"""
    below = binomial(chances, n).cumsum(1).prod(0)  # (n+1,) chance that no action has more than k successes
    return float((np.diff(below, prepend=0.0) * np.arange(n + 1)).sum() / n - np.max(chances))


def double_bias(chances, n):
    r"""$E[\mu_{\hat a}]-\max_a\mu_a$ with $\hat a=\arg\max_a\hat\mu_a$: rating by tries of its own.  chances (A,)"""
    return float(chosen(chances, n) @ np.asarray(chances, dtype=float) - np.max(chances))


def chosen(chances, n):
    """How often each action has the largest mean, ties broken by lot.  chances (A,) -> (A,)

    Against m others that tie, one wins with chance 1/(m+1), which is the integral of u^m: mark every tie by a factor u.
    """
    exact = binomial(chances, n)  # (A, n+1)
    less = exact.cumsum(1) - exact
    wins = np.zeros(len(exact))
    for a, k in np.ndindex(exact.shape):
        rivals = [Polynomial([less[b, k], exact[b, k]]) for b in range(len(exact)) if b != a]
        wins[a] += exact[a, k] * np.prod([Polynomial([1.0]), *rivals]).integ()(1.0)
    return wins
