"""Many small networks trained at once, one per seed.

A result over ten seeds needs ten networks that know nothing of each other. Their weights lie in one tensor with a
leading axis K, one batched product computes all of them, and the sum of their losses gives every network exactly the
gradient it would have alone; Adam works entry by entry and keeps them apart. Left out: convolutions.

Shapes: K networks, B examples.
"""

import torch
from torch import nn


class StackedLinear(nn.Module):
    """K layers y = x W + b side by side, each begun as nn.Linear begins: uniform within one over the root of inputs."""

    def __init__(self, networks, inputs, outputs, generator=None):
        super().__init__()
        if min(networks, inputs, outputs) < 1:
            raise ValueError(
                f"a stack needs one or more networks, inputs and outputs, got {networks}, {inputs} and {outputs}"
            )
        bound = inputs**-0.5
        self.weight = nn.Parameter(uniform(bound, (networks, inputs, outputs), generator))
        self.bias = nn.Parameter(uniform(bound, (networks, 1, outputs), generator))

    def forward(self, x):
        """x (K, B, inputs) -> (K, B, outputs)"""
        return torch.baddbmm(self.bias, x, self.weight)


def uniform(bound, shape, generator=None):
    """Numbers drawn evenly between -bound and bound."""
    return torch.empty(shape).uniform_(-bound, bound, generator=generator)
