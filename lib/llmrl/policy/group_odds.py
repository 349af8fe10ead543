r"""Groups of right and wrong answers, exactly: every number of right ones, weighed by its chance.

The model solves a prompt with chance p; of G answers k are right, with the binomial chance. The policy is moved along
one logit of p, whose score is $r-p$ and whose true gradient is $p(1-p)$. So the mean and the spread of a step can be
summed over k instead of being sampled: what a baseline costs, what a deviation in the denominator prefers, how much G
answers to few prompts are worth beside fewer answers to more.
Left out: rewards other than 0 and 1, advantages that look at a whole batch.

Shapes: N difficulties p, G answers per prompt, k = 0..G right answers.
"""

import torch

from llmrl.policy.surrogate import DR_GRPO, GRPO, relative


def chances(p, answers):
    r"""$\binom Gk p^k(1-p)^{G-k}$.  p (N,) -> (N, G+1)"""
    p = _checked(p)[:, None]
    k = torch.arange(answers + 1, dtype=p.dtype)
    choose = torch.lgamma(torch.tensor(answers + 1.0, dtype=p.dtype)) - torch.lgamma(k + 1)
    choose = choose - torch.lgamma(answers - k + 1)
    return choose.exp() * p**k * (1 - p) ** (answers - k)


def signal(p, answers):
    r"""The chance that not all G answers earn the same: $1-p^G-(1-p)^G$.  p (N,) -> (N,)"""
    p = _checked(p)
    return 1 - p**answers - (1 - p) ** answers


def steps(p, answers, how=GRPO):
    r"""$\frac1G\sum_iA_i(r_i-p)$: where a group with k right answers moves the logit.  p (N,) -> (N, G+1)"""
    if how.baseline == "batch" or how.scale == "batch":
        raise ValueError(f"one group at a time is looked at here, got baseline={how.baseline!r}, scale={how.scale!r}")
    p = _checked(p)
    right = (torch.arange(answers) < torch.arange(answers + 1)[:, None]).double()  # (G+1, G): row k has k ones
    adv = relative(right, how).double()
    return ((adv * right).sum(1) - p[:, None] * adv.sum(1)) / answers


def moments(p, answers, how=GRPO):
    """Mean and variance of a step.  p (N,) -> (N,), (N,)"""
    chance, step = chances(p, answers), steps(p, answers, how)
    mean = (chance * step).sum(1)
    return mean, (chance * (step - mean[:, None]).square()).sum(1)


def baseline_error(p, answers):
    r"""The root mean square of $\bar r-p$, in units of the rewards' own deviation.  p (N,) -> (N,)"""
    p = _checked(p)
    k = torch.arange(answers + 1, dtype=p.dtype)
    squared = (chances(p, answers) * (k / answers - p[:, None]).square()).sum(1)
    return (squared / (p * (1 - p))).sqrt()


def noise(p, samples, answers, how=DR_GRPO):
    """Standard error over mean of a batch's step: samples / answers prompts, each as hard as one of p.  -> a number

    Both sources count: which prompts were drawn, and which answers.
    """
    mean, variance = moments(p, answers, how)
    spread = variance.mean() + mean.var(correction=0)
    return ((spread * answers / samples).sqrt() / mean.mean()).item()


def _checked(p):
    p = torch.atleast_1d(torch.as_tensor(p, dtype=torch.float64))
    if not ((p >= 0) & (p <= 1)).all():
        raise ValueError(f"p is a chance and lies in [0, 1], got {p[~((p >= 0) & (p <= 1))][0].item()}")
    return p
