r"""The dials of a run of PPO: small numbers that say whether it learns as it should, before the score does.

How far did the policy move from the one that acted (KL, estimated two ways)? How often did the clip hold it back? How
sure is it of itself (entropy)? How much of what happened did the critic foresee (explained variance)? One thing is
known exactly: before the first step of an update both policies are one and every ratio is 1; where it is not, the batch
is not what the policy saw. Left out: gradients per layer, histograms.

Shapes: any leading axes (...), B items; live True where a step was really played.
"""

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.rlhf import kl


def outside(ratio, low, high):
    r"""Whether a ratio lies outside $[1-\epsilon_{low},1+\epsilon_{high}]$.  any shape, bool"""
    return (ratio < 1 - low) | (ratio > 1 + high)


def clip_fraction(ratio, live, low, high):
    """The share of ratios outside.  ratio, live (..., B) -> (...)"""
    return masked_mean(outside(ratio, low, high).float(), live, -1)


def moved(logp, old_logp, live):
    r"""KL(old || new) from actions of the old policy, estimated by k1 and by k3.  (..., B) -> two of (...)

    k1, the mean of $-\log\rho$, may be negative; k3, the mean of $\rho-1-\log\rho$, may not. Both have the same mean.
    """
    return masked_mean(kl.k1(old_logp, logp), live, -1), masked_mean(kl.k3(old_logp, logp), live, -1)


def explained_variance(values, ret, live):
    r"""$1-\mathrm{Var}(R-V)/\mathrm{Var}(R)$: 1 foresees all, 0 is no better than a constant, below 0 is worse.

    (..., B) -> (...); nan where the returns are all alike, and there is nothing to foresee.
    """
    spread = variance(ret, live)
    return torch.where(spread > 0, 1 - variance(ret - values, live) / spread, torch.nan)


def variance(x, live):
    """The mean squared distance from the mean, over what is live.  (..., B) -> (...)"""
    return masked_mean((x - masked_mean(x, live, -1)[..., None]).square(), live, -1)
