r"""Gradient checkpointing: forget what is inside, remember what went in, compute the rest again when it is needed.

$y=f(x)$ normally keeps all that the backward pass of f will ask for. A checkpoint keeps x alone. When the slope of y
arrives, f is run a second time on x, now with a record, and the slope is sent back through that. The gradient is the
same to the last bit if f does the same both times, so whatever f throws its dice with is put back first. Memory falls
from all of f's insides to one input; the price is one more forward pass (Chen et al. 2016, arXiv:1604.06174).
Left out: several inputs or outputs, second derivatives, and torch.autograd.grad through a checkpoint.
"""

import torch
from torch.autograd.function import once_differentiable
from torch.autograd.graph import get_gradient_edge


def slope_again(function, x, slope):
    """Run function on x once more, with a record, and send the slope of its result back: into its weights, and to x."""
    x = x.detach().requires_grad_()
    with torch.enable_grad():
        end = get_gradient_edge(function(x))  # where the record ends; the result itself is not needed
    torch.autograd.backward(end, slope)
    return x.grad


class Forgetful(torch.autograd.Function):
    """Forward keeps the input, backward makes the rest again."""

    @staticmethod
    def forward(ctx, function, x):  # torch records nothing in here
        ctx.function, ctx.dice = function, torch.get_rng_state()
        ctx.save_for_backward(x)
        return function(x)

    @staticmethod
    @once_differentiable
    def backward(ctx, slope):
        with torch.random.fork_rng(devices=[]):
            torch.set_rng_state(ctx.dice)
            return None, slope_again(ctx.function, *ctx.saved_tensors, slope)


def checkpoint(function, x):
    """function(x), keeping nothing but x.  function: from one tensor to one tensor, whatever else it reads it brings"""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        got = x.dtype if isinstance(x, torch.Tensor) else type(x).__name__
        raise TypeError(f"x must be a tensor of floating numbers, got {got}: slopes arrive at it, ids cannot have one")
    if torch.is_grad_enabled() and not x.requires_grad:
        raise ValueError(
            "x wants no gradient, so none would reach the checkpoint, and the weights inside would not learn: call "
            "x.requires_grad_() first (on a frozen embedding's output, say), or use torch.no_grad() if none is to learn"
        )
    return Forgetful.apply(function, x)
