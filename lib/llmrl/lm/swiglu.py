r"""The gate of the network: $\mathrm{silu}(a)\odot u$, which keeps its two inputs and nothing else.

Autograd would keep $\mathrm{silu}(a)$ as well, from the forward pass to the backward pass: the largest tensor of a
layer once more. Computing it again is cheaper than writing it to memory and reading it back, so the gradient is
written here by hand. Left out: doing the same for the product that follows.
"""

import torch
import torch.nn.functional as F


class SwiGLU(torch.autograd.Function):
    r"""$\partial a=g\odot u\odot\mathrm{silu}'(a)$ and $\partial u=g\odot\mathrm{silu}(a)$, where g is the gradient."""

    generate_vmap_rule = True

    @staticmethod
    def forward(gate, up):
        return F.silu(gate).mul_(up)

    @staticmethod
    def setup_context(ctx, inputs, output):
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx, grad):
        gate, up = ctx.saved_tensors
        return slope(gate, grad * up), grad * F.silu(gate)


def slope(x, grad):
    r"""$g\odot\mathrm{silu}'(x)$ by torch's own kernel, or, where a second derivative is wanted, by the formula."""
    if not torch.is_grad_enabled():
        return torch.ops.aten.silu_backward(grad, x)
    share = x.sigmoid()
    return grad * share * (1 + x * (1 - share))


def swiglu(gate, up):
    r"""$\mathrm{silu}(a)\odot u$ for gate a and up u of one shape."""
    return SwiGLU.apply(gate, up) if torch.is_grad_enabled() else F.silu(gate) * up
