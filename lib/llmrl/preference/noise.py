r"""What wrong labels do to a loss on margins, when there is no end of data.

A label that is flipped with probability p shows a pair in the right order $1-p$ of the time. A loss that itself expects
a share of flips, cDPO's $\epsilon$, mixes the two directions once more; what remains is a weight q on the right
direction, and the margin with the least mean loss is its log odds. Left out: noise that depends on the pair, as that of
tired people does, and finite data, where every pair has the one label it happened to get.
"""

import torch


def right_share(noise, flip=0.0):
    r"""$q=(1-\epsilon)(1-p)+\epsilon p$: the weight a loss puts on the right order.  noise p (N,) -> (N,)"""
    noise = torch.as_tensor(noise, dtype=torch.float64)
    if not (((0 <= noise) & (noise <= 1)).all() and 0 <= flip < 0.5):
        raise ValueError(
            f"noise must be in [0, 1] and flip in [0, 0.5), got {noise.tolist()} and {flip}: both are shares of labels"
        )
    return (1 - flip) * (1 - noise) + flip * noise


def best_margin(noise, flip=0.0):
    r"""$\log\frac{q}{1-q}$, the margin with the least mean loss; infinite where no label is wrong.  (N,) -> (N,)"""
    return torch.logit(right_share(noise, flip))
