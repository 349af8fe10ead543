r"""Which learning rate suits which batch size.

A larger batch has a cleaner gradient, so a longer step along it pays. For one step of plain gradient descent on a
quadratic, equally curved in all directions, the best length is $\epsilon_{max}/(1+\mathcal{B}/B)$ (McCandlish et al.
2018, arXiv:1812.06162): in proportion to the batch as long as noise rules, flat once the batch is larger than its noise
scale. Over a whole run, and for optimizers that divide by the gradient's size, as AdamW does, other powers of the batch
are found: one measures. Runs that read equally much data differ in their number of steps as well, which moves the best
rate by itself.
Left out: schedules, and rates that differ from layer to layer.
"""

import math

import torch


def best_step(size, scale, largest=1.0):
    r"""$\frac{\epsilon_{max}}{1+\mathcal{B}/B}$: the best step of plain gradient descent from a batch of that size."""
    return largest / (1 + scale / size)


def vertex(rates, losses):
    """The rate with the lowest loss: of the parabola over log rate through the lowest point and its two neighbours."""
    x, y = torch.as_tensor(rates).double().log(), torch.as_tensor(losses).double()
    if x.shape != y.shape or x.dim() != 1 or len(x) < 3 or not (x.diff() > 0).all() or not y.isfinite().all():
        raise ValueError(
            f"a best rate needs three rates or more, growing, each with a finite loss, got {tuple(x.shape)} rates and "
            f"{tuple(y.shape)} losses: leave out the rates at which training diverged"
        )
    at = int(y.argmin())
    if at in (0, len(x) - 1):
        return math.exp(x[at])  # at the edge: the best of those that were tried
    (a, b, c), (p, q, r) = x[at - 1 : at + 2].tolist(), y[at - 1 : at + 2].tolist()
    left, right = (b - a) * (q - r), (b - c) * (q - p)
    return math.exp(b - 0.5 * ((b - a) * left - (b - c) * right) / (left - right))


def power(sizes, rates):
    """The exponent of a power law, rate ~ size^exponent, by least squares of the logarithms."""
    x, y = torch.as_tensor(sizes).double().log(), torch.as_tensor(rates).double().log()
    return (((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum()).item()
