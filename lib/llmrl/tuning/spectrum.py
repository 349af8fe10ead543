r"""How many directions a change of weights has: its singular values.

A change $\Delta W=W'-W$ is a sum of products of two vectors, each as large as one singular value, the largest first:
$\Delta W=\sum_i\sigma_i u_iv_i^\top$. The first r of them are the best that rank r can do (Eckart and Young 1936), and
the share of $\sum\sigma_i^2$ they hold is called their energy. Small energy may still matter: what a model can do with
the first r alone has to be measured. Left out: singular vectors as features, and spectra weighted by what goes into a
matrix.

Shapes: a change (O, N), its n = min(O, N) singular values (n,).
"""

import torch
from torch import nn


def deltas(tuned, start):
    """What tuning changed in each linear map, by name: two models of one shape -> {name: (O, N)}"""
    before = {name: module.weight for name, module in start.named_modules() if isinstance(module, nn.Linear)}
    after = {name: module.weight for name, module in tuned.named_modules() if isinstance(module, nn.Linear)}
    strange = sorted(before.keys() ^ after.keys()) or [n for n in before if before[n].shape != after[n].shape]
    if strange or not before:
        raise ValueError(
            f"the two models must have the same linear maps, got {strange[:3] or 'none'} on one side or of two shapes: "
            f"compare a tuned model with the one it started from, after unload(model) if it has adapters"
        )
    return {name: (after[name] - before[name]).detach() for name in before}


def singular_values(delta):
    """From the largest to the smallest.  (O, N) -> (n,)"""
    if delta.dim() != 2 or not delta.isfinite().all():
        bad = f"shape {tuple(delta.shape)}" if delta.dim() != 2 else f"{(~delta.isfinite()).sum()} entries nan or inf"
        raise ValueError(f"a change must be one matrix of finite numbers, got {bad}: look at the run that made it")
    return torch.linalg.svdvals(delta.double())


def energy(values):
    r"""$\sum_{i\le r}\sigma_i^2/\sum_i\sigma_i^2$ for r = 1, 2, ...  (n,) -> (n,)"""
    squares = values.square()
    if not squares.sum() > 0:
        raise ValueError("a change of zero has no energy to share out: compare two different models")
    return squares.cumsum(0) / squares.sum()


def rank_for(values, share):
    """The smallest rank that holds a share of the energy."""
    if not 0 < share < 1:
        raise ValueError(f"share must be between 0 and 1, got {share!r}: 0.99 asks for the rank of 99 percent")
    return int((energy(values) < share).sum()) + 1


def stable_rank(values):
    r"""$\sum\sigma_i^2/\sigma_1^2$: how many directions as strong as the strongest would hold as much."""
    energy(values)  # a change of zero is refused there
    return (values.square().sum() / values[0].square()).item()


def truncate(delta, rank):
    """The best change of that rank.  (O, N) -> (O, N)"""
    if not 1 <= rank <= min(delta.shape):
        raise ValueError(f"rank must be from 1 to {min(delta.shape)} for a change of {tuple(delta.shape)}, got {rank}")
    u, values, v = torch.linalg.svd(delta, full_matrices=False)
    return (u[:, :rank] * values[:rank]) @ v[:rank]
