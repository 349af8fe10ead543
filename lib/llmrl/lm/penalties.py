r"""Against repetition, by hand: lower the scores of what was said before.

The repetition penalty divides a positive score by $\theta$ and multiplies a negative one, once for every token that has
occurred (Keskar et al. 2019, arXiv:1909.05858). Scores mean nothing in absolute terms, softmax ignores a shift, but
this rule does not: where zero lies decides what it does. Frequency and presence penalties subtract instead, one per
occurrence and one for having occurred at all, so a shift of all scores changes nothing. The last rule forbids a token
that would complete a run of n tokens for the second time. Left out: penalties that fade with distance.

Shapes: B sequences, T positions, V vocabulary.
"""

import math

import torch


def counted(logits, ids):
    """How often each token occurs.  logits (B, V), ids (B, T) -> (B, V)"""
    return torch.zeros_like(logits).scatter_add(-1, ids, torch.ones_like(ids, dtype=logits.dtype))


def repetition_penalty(logits, ids, theta):
    r"""$z/\theta$ where z > 0 and $z\theta$ where z < 0, for tokens in ids.  logits (B, V), ids (B, T) -> (B, V)"""
    if not 0 < theta < math.inf:
        raise ValueError(f"theta must be above 0 and finite, got {theta!r}: 1 changes nothing, 1.2 is common")
    lowered = torch.where(logits > 0, logits / theta, logits * theta)
    return torch.where(counted(logits, ids) > 0, lowered, logits)


def frequency_penalty(logits, ids, frequency=0.0, presence=0.0):
    r"""$z-c\,f-[c>0]\,g$ for a token that occurs c times in ids.  logits (B, V), ids (B, T) -> (B, V)"""
    for name, size in (("frequency", frequency), ("presence", presence)):
        if not -math.inf < size < math.inf:
            raise ValueError(f"{name} must be a finite number, got {size!r}: 0 changes nothing, up to 2 is common")
    counts = counted(logits, ids)
    return logits - frequency * counts - presence * (counts > 0)


def no_repeat_ngram(logits, ids, n):
    """-inf for tokens that would end a run of n tokens that ids already hold.  logits (B, V), ids (B, T) -> (B, V)"""
    if isinstance(n, bool) or not isinstance(n, int) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}: 3 or 4 is common, 1 forbids any repeat")
    if ids.shape[1] < n:
        return logits
    runs = ids.unfold(1, n, 1)  # (B, T-n+1, n)
    newest = ids[:, None, ids.shape[1] - n + 1 :]  # (B, 1, n-1)
    again = (runs[..., :-1] == newest).all(-1)  # (B, T-n+1)
    ends = torch.zeros_like(logits).scatter_add(-1, runs[..., -1], again.to(logits.dtype))
    return logits.masked_fill(ends > 0, -torch.inf)
