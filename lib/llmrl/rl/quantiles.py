r"""The whole distribution of the return by its quantiles: QR-DQN.

Dabney, Rowland, Bellemare and Munos 2018 (arXiv:1710.10044) turn C51 round: the probabilities are fixed, 1/N each, and
the places $\theta_1,\dots,\theta_N$ are learned, so no range has to be known. Place i is pulled up with force
$\tau_i$ by targets above it and down with force $1-\tau_i$ by those below: it rests where a share
$\tau_i=(2i-1)/2N$ of them lies below.
Huber's rounding of the corner, $\kappa>0$, makes the gradient smooth and moves the resting place a little.
Left out: implicit quantile networks, which learn a function of $\tau$.

Shapes: B transitions, N quantiles predicted, M samples or quantiles of the target.
"""

import torch
import torch.nn.functional as F


def midpoints(count):
    """The levels (2i-1)/2N, i = 1..N: the middles of N equal shares.  (N,)"""
    if count < 1:
        raise ValueError(f"at least one quantile is needed, got {count}")
    return (torch.arange(count) + 0.5) / count


def quantile_huber(predicted, target, kappa=1.0):
    r"""$\sum_i\frac1M\sum_j|\tau_i-[u_{ij}<0]|\,L_\kappa(u_{ij})/\kappa$ with $u_{ij}=y_j-\theta_i$.

    predicted (..., N), target (..., M) -> (...).  kappa 0 is the quantile loss itself, |u| instead of Huber's L.
    """
    if kappa < 0:
        raise ValueError(f"kappa must be 0 or more, got {kappa}: it is where Huber's parabola becomes a line")
    gap = target[..., None, :] - predicted[..., :, None]  # (..., N, M)
    rounded = F.huber_loss(gap, torch.zeros_like(gap), reduction="none", delta=kappa) / kappa if kappa else gap.abs()
    force = (midpoints(predicted.shape[-1])[:, None] - (gap.detach() < 0).to(gap.dtype)).abs()
    return (force * rounded).mean(-1).sum(-1)
