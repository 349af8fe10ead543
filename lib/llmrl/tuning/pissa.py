r"""PiSSA: train the largest part of the matrix itself, freeze the rest (Meng et al. 2024, arXiv:2404.02948).

LoRA begins with a change of zero, half of it random. PiSSA begins with the best approximation of rank r that W has,
from its singular value decomposition: $sBA=\sum_{i\le r}\sigma_iu_iv_i^\top$, and freezes what remains,
$W_{res}=W-sBA$. The sum is W, so nothing changes at the start, and A and B are as large as W's main directions. From
then on the layer is LoRA's, but its A and B mean nothing beside a W that was never cut. What was learned is no product
of rank r, it is the difference of two: `as_lora` writes it with rank 2r, for such a W.
Left out: the fast, approximate decomposition, and quantising the rest.

Shapes: N numbers in, O numbers out, r the rank; W (O, N), A (r, N), B (O, r).
"""

import copy

import torch

from llmrl.tuning.lora import LoRALinear


def principal(weight, rank, scale=1.0):
    r"""A, B and the rest of W: $sBA$ is W's best approximation of that rank.  (O, N) -> (r, N), (O, r), (O, N)"""
    if not 1 <= rank <= min(weight.shape):
        raise ValueError(f"rank must be from 1 to {min(weight.shape)} for a matrix {tuple(weight.shape)}, got {rank}")
    if not weight.isfinite().all():
        raise ValueError("the matrix holds nan or inf and has no singular values: load the weights again")
    precise = weight.to(torch.promote_types(weight.dtype, torch.float32))  # no decomposition in bfloat16
    U, S, V = torch.linalg.svd(precise, full_matrices=False)  # (O, K), (K,), (K, N) with K = min(O, N)
    root = (S[:rank] / scale).sqrt()
    A, B = ((root[:, None] * V[:rank]).to(weight), (U[:, :rank] * root).to(weight))
    return A, B, weight - scale * (B @ A)


class PiSSALinear(LoRALinear):
    """A LoRALinear begun at the largest singular vectors of a matrix, beside a copy of it that keeps only the rest."""

    def __init__(self, linear, rank, alpha, scaling="alpha/r"):
        super().__init__(copy.deepcopy(linear), rank, alpha, scaling)
        with torch.no_grad():
            for held, value in zip((self.A, self.B, self.linear.weight), principal(linear.weight, rank, self.scale)):
                held.copy_(value)


def as_lora(layer, first):
    r"""A and B of rank 2r whose product is what was learned: $BA-B_0A_0$.  first = (A0, B0), kept from the start"""
    A, B = first
    return torch.cat([layer.A, A]), torch.cat([layer.B, -B], dim=1)  # (2r, N), (O, 2r)
