r"""What the best of N is worth, computed from M answers that were scored once, M at least N.

Every choice of N out of M scored answers is equally likely to be what a draw of N would have shown. The answer of rank
i, counted from the lowest score, is the best of the choice when it is in it and the other N-1 rank below:
$w_i=\binom{i-1}{N-1}/\binom MN$. So the mean worth of the best of N is $\sum_i w_iv_i$, exactly, for every N from one
set of scores; with a verifier that is never wrong it is the chance that one of N is right. What a choice by score costs
in divergence is bounded by $\log N-\frac{N-1}N$ (Beirami et al. 2024, arXiv:2401.01879), whatever the score.
Left out: choosing with replacement, and soft choices.

Shapes: M answers to one question, in float64; any axes before are questions.
"""

import math

import torch


def best_weights(m, n):
    r"""$w_i=\binom{i-1}{N-1}/\binom MN$, how often rank i of M is the best of n, the lowest first.  -> (M,)"""
    if not (isinstance(n, int) and isinstance(m, int) and 1 <= n <= m):
        raise ValueError(f"the best of n needs 1 <= n <= m answers, got n = {n!r} and m = {m!r}: draw more answers")
    weights = torch.zeros(m, dtype=torch.float64)
    weights[m - 1] = n / m  # the highest of all is in the choice
    for i in range(m - 1, n - 1, -1):  # C(i-1, n-1) = C(i, n-1) (i-n+1) / i
        weights[i - 1] = weights[i] * (i - n + 1) / i
    return weights


def best_worth(score, worth, n):
    """The mean worth of the answer with the highest score among n; equal scores are drawn by lot.  (.., M) -> (..)"""
    score, worth = (torch.as_tensor(x, dtype=torch.float64) for x in (score, worth))
    if score.shape != worth.shape or not score.isfinite().all():
        raise ValueError(
            f"every answer needs a worth and a score that is a number, got {tuple(score.shape)} scores with "
            f"{int((~score.isfinite()).sum())} that are not finite and {tuple(worth.shape)} worths: score every answer"
        )
    weights = best_weights(score.shape[-1], n)
    order = score.argsort(-1)
    score, worth = score.gather(-1, order), worth.gather(-1, order)
    start = torch.searchsorted(score, score)  # of the group of equals, in ranks
    end = torch.searchsorted(score, score, right=True)
    total = torch.cat([weights.new_zeros(1), weights.cumsum(0)])
    return ((total[end] - total[start]) / (end - start) * worth).sum(-1)  # equals share what they weigh together


def divergence_bound(n):
    r"""$\log N-\frac{N-1}N$: at most so many nats lie between the best of N and one draw."""
    if not n >= 1:
        raise ValueError(f"n must be at least 1, got {n!r}: it counts the answers")
    return math.log(n) - (n - 1) / n
