r"""DoRA: how long a row of the matrix is and where it points are learned apart (Liu et al. 2024, arXiv:2402.09353).

Row i of W, the weights of output i, is written as a length m_i times a direction. LoRA's s B A turns the direction, m
is trained beside it: $W'=m\odot\frac{W+sBA}{\lVert W+sBA\rVert}$, row by row. At the start m is the length of W's rows
and B is zero, so nothing changes. The length below the line is a constant for the gradient (the paper's section 4.3):
then y is LoRA's output times one factor per output, and no gradient of the size of W is ever formed.
Left out: the gradient through the length, and a cache of lengths for generation.

Shapes: N numbers in, O numbers out, r the rank; W (O, N), A (r, N), B (O, r), m (O,).
"""

import torch
from torch import nn

from llmrl.tuning.lora import LoRALinear


def rescaled(direction, magnitude):
    r"""Every row of a matrix, brought to its magnitude.  (O, N), (O,) -> (O, N)"""
    return direction * (magnitude / direction.norm(dim=1))[:, None]


def moved(after, before):
    r"""How far each row changed in length, $|m'/m-1|$, and how far it turned, $1-\cos$.  two of (O, N) -> (O,), (O,)"""
    old, new = before.norm(dim=1), after.norm(dim=1)
    return (new / old - 1).abs(), 1 - (before * after).sum(1) / (old * new)


class DoRALinear(LoRALinear):
    r"""$xW'^\top+b$ with rows of W' as long as m says and pointing where W + s B A does.  (.., N) -> (.., O)"""

    def __init__(self, linear, rank, alpha, scaling="alpha/r", generator=None):
        super().__init__(linear, rank, alpha, scaling, generator)
        length = linear.weight.detach().norm(dim=1)
        if not (length > 0).all():
            row = int((length > 0).logical_not().nonzero()[0])
            raise ValueError(
                f"row {row} of the matrix has length {length[row].item():g}, and so no direction: DoRA needs rows that "
                f"are finite and not zero, LoRALinear takes any"
            )
        self.magnitude = nn.Parameter(length)

    def factor(self):
        r"""$m/\lVert W+sBA\rVert$, where only m has a gradient.  -> (O,)"""
        with torch.no_grad():
            length = (self.linear.weight + super().delta()).norm(dim=1)
        return self.magnitude / length

    def forward(self, x):
        y = super().forward(x)
        if self.merged:
            return y
        bias = 0.0 if self.linear.bias is None else self.linear.bias
        return (y - bias) * self.factor() + bias

    def before(self):
        r"""W as it was, whether the change is merged or not.  -> (O, N)"""
        weight = self.linear.weight
        return weight / self.merged_factor[:, None] - super().delta() if self.merged else weight

    def delta(self):
        r"""$W'-W$.  -> (O, N)"""
        return rescaled(self.before() + super().delta(), self.magnitude) - self.before()

    @torch.no_grad()
    def shift(self, sign):
        """Replace the matrix by W', or by W again; the factor is remembered, rows of W' have lost their length."""
        if sign > 0:
            self.merged_factor = self.factor()
            self.linear.weight += self.delta()
        else:
            self.linear.weight.copy_(self.before())
        self.merged = sign > 0
