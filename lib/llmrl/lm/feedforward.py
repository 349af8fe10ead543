r"""Feed-forward networks without and with a gate, at the same number of parameters.

The first transformers computed $W_{down}\,f(W_{up}x)$ with ReLU or GELU for f: two matrices. A gated network has a
third, which decides number by number how much of the second gets through, so for equal parameters its inner width is
two thirds of the plain one's (Shazeer 2020, arXiv:2002.05202).
Left out: the other gates of that paper (GLU with a sigmoid, ReGLU, GEGLU), which differ in f alone.

Shapes: D width, M inner width of the gated network, 3M/2 of the plain one.
"""

import math

import torch
import torch.nn.functional as F
from torch import nn

from llmrl import seeds
from llmrl.lm.model import Linear, TinyLM

ACTIVATIONS = {"relu": F.relu, "gelu": F.gelu}


class PlainFFN(nn.Module):
    r"""$W_{down}\,f(W_{up}x)$"""

    def __init__(self, width, inner, activation):
        super().__init__()
        self.up, self.down, self.activation = Linear(width, inner), Linear(inner, width), activation

    def forward(self, x):
        return self.down(self.activation(self.up(x)))


@torch.no_grad()
def with_ffn(config, kind, generator=None):
    """A TinyLM with the feed-forward networks "swiglu", "relu" or "gelu", equally many parameters in each."""
    if kind != "swiglu" and kind not in ACTIVATIONS:
        raise ValueError(f"kind must be one of swiglu, {', '.join(ACTIVATIONS)}, got {kind!r}")
    if config.ffn % 2:
        raise ValueError(f"ffn must be even, got {config.ffn}: two matrices of 3/2 its size replace three")
    generator = generator or seeds.rng(seeds.base_seed(), "lm", "initial weights")
    model = TinyLM(config, generator)
    for layer in model.layers if kind != "swiglu" else ():
        layer.ffn = PlainFFN(config.width, config.ffn * 3 // 2, ACTIVATIONS[kind])
        layer.ffn.up.weight.normal_(0, 0.02, generator=generator)
        layer.ffn.down.weight.normal_(0, 0.02 / math.sqrt(2 * config.layers), generator=generator)
    return model
