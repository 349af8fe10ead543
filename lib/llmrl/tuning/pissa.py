r"""PiSSA: train the largest part of the matrix itself, freeze the rest (Meng et al. 2024, arXiv:2404.02948).

LoRA begins with a change of zero, half of it random. PiSSA begins with the best approximation of rank r that W has,
from its singular value decomposition: $sBA=\sum_{i\le r}\sigma_iu_iv_i^\top$, and freezes what remains,
$W_{res}=W-sBA$. The sum is W, so nothing changes at the start, and A and B are as large as W's main directions. From
then on the layer is a LoRALinear. What was learned is no product of rank r, but the difference of two: `as_lora` writes
it with rank 2r, for a base that was never cut. Left out: the fast, approximate decomposition, and quantising the rest.

Shapes: N numbers in, O numbers out, r the rank; W (O, N), A (r, N), B (O, r).
"""

import torch

from llmrl.tuning.lora import LoRALinear


def principal(weight, rank, scale=1.0):
    r"""A, B and the rest of W: $sBA$ is W's best approximation of that rank.  (O, N) -> (r, N), (O, r), (O, N)"""
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(f"rank must be from 1 to {min(weight.shape)} for a matrix {tuple(weight.shape)}, got {rank}")
    if not weight.isfinite().all():
        raise ValueError("the matrix holds nan or inf and has no singular values: load the weights again")
    U, S, V = torch.linalg.svd(weight, full_matrices=False)  # (O, K), (K,), (K, N) with K = min(O, N)
    root = (S[:rank] / scale).sqrt()
    A, B = root[:, None] * V[:rank], U[:, :rank] * root
    return A, B, weight - scale * (B @ A)


@torch.no_grad()
def start(layer):
    """Begin a LoRALinear at the largest singular vectors of its matrix; in place, once."""
    if layer.merged or layer.B.any():
        state = "merged" if layer.merged else "trained"
        raise ValueError(f"the layer is {state} already: PiSSA is a beginning, start from a fresh LoRALinear")
    weight = layer.linear.weight
    for held, value in zip((layer.A, layer.B, weight), principal(weight, layer.rank, layer.scale)):
        held.copy_(value)
    return layer


def pissa(linear, rank, alpha, scaling="alpha/r"):
    """A LoRALinear in place of the linear map, begun at its largest singular vectors."""
    return start(LoRALinear(linear, rank, alpha, scaling))


def as_lora(layer, first):
    r"""A and B of rank 2r whose product is what was learned: $BA-B_0A_0$.  first = (A0, B0), kept from the start"""
    A, B = first
    return torch.cat([layer.A, A]), torch.cat([layer.B, -B], dim=1)  # (2r, N), (O, 2r)
