r"""Exploring with noisy weights instead of random actions.

Fortunato et al. 2017 (arXiv:1706.10295) add noise to the weights of the last layers, $w=\mu+\sigma\odot\epsilon$, and
learn $\sigma$ with everything else, so that the size of the noise follows the loss and not a schedule. Factorised noise
draws one number per input and one per output, $\epsilon_{ij}=f(\epsilon_i)f(\epsilon_j)$ with
$f(x)=\mathrm{sign}(x)\sqrt{|x|}$: p inputs and q outputs need p + q draws, not p q.
Left out: independent noise for every weight.

Shapes: K networks, B examples.
"""

import torch
from torch import nn

from llmrl.rl.stacked import StackedLinear


def squashed(x):
    """f(x) = sign(x) sqrt(|x|): the product of two such has mean 0 and a modest spread."""
    return x.sign() * x.abs().sqrt()


class NoisyLinear(StackedLinear):
    """K layers whose weights are mu + sigma * noise.

    All examples share one draw of the noise, which stays until the next draw(). In eval() mode, and before the first
    draw, the layer is that of the means.
    """

    def __init__(self, networks, inputs, outputs, generator=None, sigma=0.5):
        super().__init__(networks, inputs, outputs, generator)
        if sigma < 0:
            raise ValueError(f"sigma must be 0 or more, got {sigma}: it is the size of the noise at the start")
        self.sigma_weight = nn.Parameter(torch.full((networks, inputs, outputs), sigma * inputs**-0.5))
        self.sigma_bias = nn.Parameter(torch.full((networks, 1, outputs), sigma * inputs**-0.5))
        self.noise = None  # (K, inputs, 1), (K, 1, outputs)

    def draw(self, generator=None):
        """New noise, kept until the next draw."""
        networks, inputs, outputs = self.weight.shape
        into = squashed(torch.randn(networks, inputs, 1, generator=generator))
        self.noise = into, squashed(torch.randn(networks, 1, outputs, generator=generator))

    def forward(self, x):
        """x (K, B, inputs) -> (K, B, outputs)"""
        if self.noise is None or not self.training:
            return super().forward(x)
        into, out = self.noise
        weight = self.weight + self.sigma_weight * (into * out)  # (K, inputs, outputs)
        return torch.baddbmm(self.bias + self.sigma_bias * out, x, weight)
