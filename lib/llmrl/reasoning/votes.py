r"""The odds of a vote: where a majority of N answers ends up.

N answers are drawn, the most frequent one wins, equals by lot (`search.majority_vote` takes the earliest among equals,
which is the same for answers in random order). With $p_j$ the chance of answer j, the chance that answer i wins with k
votes is a sum over all ways to give the others at most k: $\frac{N!}{k!}p_i^k\prod_{j\ne i}\sum_{c\le k}p_j^c/c!$, of
which only the terms with N votes together count, each divided by the number of those who have k. As N grows the winner
is the mode, the likeliest single answer: a vote helps where the mode is right and hurts where it is wrong, whatever the
share of right answers. Self-consistency (Wang et al. 2022, arXiv:2203.11171) is this vote over sampled solutions.
Left out: votes weighed by a score.

Shapes: K different answers, P questions, M answers drawn for each, R repeats.
"""

import math

import numpy as np

MOST = 150  # votes: N! has to fit in a float


def vote_odds(chances, n, places=None):
    """How likely answers are to win a vote of n.  chances (K,), which add up to 1; places: of which, all by default

    -> (K,) float64, or one number per place
    """
    p = np.asarray(chances, dtype=np.float64)
    if p.ndim != 1 or not (p >= 0).all() or abs(p.sum() - 1) > 1e-9:
        raise ValueError(f"chances must be at least 0 and add up to 1, got {chances}: one for each different answer")
    check_votes(n, MOST)
    return np.array([sum(_wins_with(k, p[i], np.delete(p, i), n) for k in range(1, n + 1))
                     for i in (range(len(p)) if places is None else places)])  # fmt: skip


def _wins_with(k, chance, others, n):
    """How likely an answer is to win a vote of n with exactly k votes."""
    rest = n - k
    if rest > k * len(others):
        return 0.0
    ways = np.zeros((rest + 1, len(others) + 1))  # votes given to the others, how many of them have k
    ways[0, 0] = 1.0
    for p in others:
        before, ways = ways, np.zeros_like(ways)
        for c in range(min(k, rest) + 1):
            tie = int(c == k)
            ways[c:, tie:] += before[: rest + 1 - c, : ways.shape[1] - tie] * p**c / math.factorial(c)
    shared = (ways[rest] / np.arange(1, ways.shape[1] + 1)).sum()
    return math.factorial(n) / math.factorial(k) * chance**k * shared


def winners(answers, n, repeats, random):
    """Who wins votes of n among M drawn answers, drawn without replacement, equals by lot.

    answers (P, M) whole numbers, the same number for the same answer -> (P, repeats)
    """
    answers = np.asarray(answers)
    check_votes(n, answers.shape[1])
    kinds, codes = np.unique(answers, return_inverse=True)
    codes, rows = codes.reshape(answers.shape), np.arange(len(answers))
    found = []
    for _ in range(repeats):
        chosen = codes[rows[:, None], random.random(answers.shape).argsort(1)[:, :n]]  # (P, n)
        counts = np.zeros((len(answers), len(kinds)))
        np.add.at(counts, (rows[:, None], chosen), 1)
        found.append(kinds[(counts + 0.5 * random.random(counts.shape)).argmax(1)])
    return np.stack(found, axis=1)


def mode(answers):
    """The most frequent answer of each row, the smallest among equals.  (P, M) -> (P,)"""
    kinds, codes = np.unique(answers, return_inverse=True)
    counts = np.zeros((len(answers), len(kinds)))
    np.add.at(counts, (np.arange(len(answers))[:, None], codes.reshape(np.shape(answers))), 1)
    return kinds[counts.argmax(1)]


def check_votes(n, most):
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)) or not 1 <= n <= most:
        raise ValueError(f"a vote needs from 1 to {most} votes, got {n!r}: draw more answers, or take fewer of them")
