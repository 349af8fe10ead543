r"""The clipped surrogate: take an improvement until the policy has moved far enough, take a correction always.

$\min(\rho A,\ \mathrm{clip}(\rho, 1-\epsilon_{low}, 1+\epsilon_{high})A)$ (Schulman et al. 2017, arXiv:1707.06347).
Its gradient is zero where $A>0$ and $\rho>1+\epsilon$, and where $A<0$ and $\rho<1-\epsilon$; nowhere else.
Left out so far: ratios of whole sequences.
"""

import torch


def clip(ratio, adv, low=0.2, high=0.2):
    """The objective, per item, to be made large.  ratio (B,) and adv (B,), or (B, T) and one of (B, T), (B, 1)"""
    if not 0 <= low < 1 or not high >= 0:
        raise ValueError(
            f"the ratio is kept in [1-low, 1+high] with 0 <= low < 1 and high >= 0, got low={low} and high={high}"
        )
    if ratio.dim() != adv.dim():
        raise ValueError(
            f"adv must have as many axes as ratio, got {tuple(adv.shape)} for {tuple(ratio.shape)}: one advantage per "
            f"answer becomes (B, 1) with adv[:, None]"
        )
    return torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)
