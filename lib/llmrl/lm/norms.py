r"""Three norms, which differ in the numbers they average over.

A norm brings activations to a standard size: it subtracts a mean (RMSNorm does not) and divides by a typical size.
BatchNorm takes both from one feature over the whole batch, so texts depend on their neighbours and it has to remember
averages for later use; LayerNorm takes them from one vector; RMSNorm leaves the mean out. The small number eps keeps
the division finite, and breaks the independence of scale for vectors about as small as its root.
Left out: GroupNorm and InstanceNorm, which images use; the gradients, which autograd takes.

Shapes: B sequences, T positions, D width.
"""

import torch


def moments(x, dims):
    """Mean and mean squared deviation over dims, which stay as ones."""
    mean = x.mean(dims, keepdim=True)
    return mean, (x - mean).square().mean(dims, keepdim=True)


def standardise(x, mean, variance, eps):
    r"""$\frac{x-\mu}{\sqrt{\sigma^2+\epsilon}}$"""
    return (x - mean) * torch.rsqrt(variance + eps)


def batch_norm(x, weight, bias, known=None, eps=1e-5):
    """One mean and deviation per feature, of all texts and positions, or those known.  (B, T, D), (D,) -> (B, T, D)"""
    if known is None and x[..., 0].numel() < 2:
        raise ValueError(
            f"BatchNorm needs two or more vectors to compare, got x of shape {tuple(x.shape)}: give it the known "
            f"statistics of training, or use a norm that averages within a vector"
        )
    mean, variance = moments(x, tuple(range(x.dim() - 1))) if known is None else known
    return standardise(x, mean, variance, eps) * weight + bias


def remember(known, x, momentum=0.1):
    """Running statistics for later, a little of the new batch mixed in; the variance over n-1.  -> mean, variance"""
    mean, variance = moments(x, tuple(range(x.dim() - 1)))
    n = x[..., 0].numel()
    new = mean.flatten(), variance.flatten() * n / (n - 1)
    return tuple((1 - momentum) * old + momentum * found for old, found in zip(known, new))


def layer_norm(x, weight, bias, eps=1e-5):
    """One mean and deviation per vector.  (..., D), (D,) -> (..., D)"""
    return standardise(x, *moments(x, -1), eps) * weight + bias


def rms_norm(x, weight, eps=1e-5):
    r"""$\frac{x}{\sqrt{\mathrm{mean}(x^2)+\epsilon}}\odot w$, the mean over the vector.  (..., D), (D,) -> (..., D)"""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps) * weight
