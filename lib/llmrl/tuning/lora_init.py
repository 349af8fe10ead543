r"""How LoRA begins: which of A and B is zero, and how large the other is.

One of the two has to be zero for B A to begin at zero, and the other must not be: the gradient of each is a product
with the other, $\nabla_B=s\,G A^\top$ and $\nabla_A=s\,B^\top G$ where G is the gradient of W, and two zeros would
never move. How large A begins is a matter of speed. Adam makes steps of one size in B whatever the size of the
gradient, so the change of W grows with A. Left out: starts that look at W or at data (PiSSA does the first).

Shapes: N numbers in, r the rank; A (r, N).
"""

import math

import torch

from llmrl.tuning.lora import adapters, uniform

DEVIATION = {  # of the entries of A
    "kaiming": lambda rank, inputs: 1 / math.sqrt(3 * inputs),  # peft's default: uniform up to 1/sqrt(N)
    "gaussian": lambda rank, inputs: 1 / rank,  # peft's init_lora_weights="gaussian"
    "sqrt": lambda rank, inputs: 1 / math.sqrt(rank),  # often quoted
}


def first_a(rank, inputs, how, generator):
    """A as it begins.  -> (r, N)"""
    if how not in DEVIATION:
        raise ValueError(f"how must be one of {', '.join(DEVIATION)}, got {how!r}: kaiming is what peft does")
    if how == "kaiming":
        return uniform(rank, inputs, generator)
    return torch.randn(rank, inputs, generator=generator) * DEVIATION[how](rank, inputs)


def factor_gradients(grad, A, B, scale):
    r"""$s\,B^\top G$ and $s\,GA^\top$, the gradients of A and B, from G, that of W.  (O, N) -> (r, N), (O, r)"""
    return scale * B.T @ grad, scale * grad @ A.T


@torch.no_grad()
def restart(model, a="kaiming", b=0.0, generator=None):
    """Begin every adapter of a model anew: A by its name in DEVIATION or zero for None, B normal with deviation b."""
    for adapter in adapters(model).values():
        rank, inputs = adapter.A.shape
        adapter.A.copy_(first_a(rank, inputs, a, generator) if a else torch.zeros(rank, inputs))
        adapter.B.copy_(torch.randn(adapter.B.shape, generator=generator) * b)
    return model
