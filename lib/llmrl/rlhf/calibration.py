r"""How good a reward model could be, how good it is, and whether its margins mean what they say.

Labels that follow $P(a\succ b)=\sigma(g/\tau)$ are sometimes wrong, so nobody who knows the gold gap g itself agrees
with them always: the ceiling is the mean of $\max(p,1-p)$. A model whose margins are log odds is calibrated: of the
pairs where it says 0.8, eight in ten are won. Where it says too much or too little, one number can repair it, the scale
that makes the labels likeliest (Guo et al. 2017, arXiv:1706.04599).
Left out: intervals for the curve, which the caller's counts give.

Shapes: N pairs, K bins.
"""

import torch

from llmrl.preference.losses import preference_loss


def chance(gap, temperature, noise=0.0):
    r"""$(1-\epsilon)\,\sigma(g/\tau)+\epsilon\,\sigma(-g/\tau)$: that the first of two answers is preferred.  (N,)"""
    if not (temperature > 0 and 0 <= noise <= 1):
        raise ValueError(f"temperature must be above 0 and noise in [0, 1], got {temperature} and {noise}")
    p = torch.sigmoid(gap / temperature)
    return (1 - noise) * p + noise * (1 - p)


def ceiling(gap, temperature, noise=0.0):
    """The share of labels that someone who knows every chance agrees with: mean of max(p, 1-p).  gap (N,) -> number"""
    p = chance(gap, temperature, noise)
    if not len(p) or not p.isfinite().all():
        raise ValueError(f"gap must be finite gold gaps of one pair or more, got {tuple(gap.shape)}")
    return torch.maximum(p, 1 - p).mean()


def reliability(said, won, bins=8):
    """Pairs sorted by what was said, in equal parts: mean said, share won, count.  (N,), (N,) -> three (K,)"""
    if said.shape != won.shape or said.dim() != 1 or not 1 <= bins <= len(said):
        raise ValueError(
            f"said and won must be two of (N,) and bins from 1 to N, got {tuple(said.shape)}, {tuple(won.shape)} and "
            f"{bins}: one probability and one outcome per pair"
        )
    if not ((said >= 0) & (said <= 1)).all():
        raise ValueError("said must be probabilities in [0, 1]: take the sigmoid of a margin")
    parts = said.sort().indices.tensor_split(bins)
    means = [torch.stack([x[part].float().mean() for part in parts]) for x in (said, won)]
    return *means, torch.tensor([len(part) for part in parts])


def calibration_error(said, won, bins=8):
    """Mean distance between what was said and the share won, every pair weighing the same.  -> a number"""
    mean, share, count = reliability(said, won, bins)
    return ((mean - share).abs() * count).sum() / count.sum()


def likeliest_scale(margin, won, steps=50):
    r"""The a for which $\sigma(a\,m)$ makes the outcomes likeliest, by Newton's method.  (N,), won (N,) bool -> number

    Above 1 the margins are too timid, below 1 too bold.
    """
    m = torch.where(won, margin, -margin).double()
    if not m.isfinite().all() or not (m > 0).any() or not (m < 0).any():
        raise ValueError(
            f"a likeliest scale needs finite margins that point both right and wrong, got {int((m > 0).sum())} right "
            f"and {int((m < 0).sum())} wrong: if all are right, infinitely large ones are likelier"
        )
    scale = m.new_zeros(())
    for _ in range(steps):
        p = torch.sigmoid(-scale * m)
        step = (p * m).sum() / (p * (1 - p) * m * m).sum()
        while _loss(scale + step, m) > _loss(scale, m) + 1e-12:
            step = step / 2
        scale = scale + step
        if step.abs() < 1e-10:
            break
    return scale


def _loss(scale, margin):
    return preference_loss(scale * margin).mean()
