r"""How much a method asks of its models: positions read, positions learned from, bytes held.

Every method of this chapter is some models that read token positions. Reading one is a forward pass through one
position; where gradients are on, a backward pass of about twice the arithmetic follows. `counted` counts both while the
real code runs, padding included, because padding is computed as well. `held` adds up the bytes of what is kept between
two steps: weights, their gradients, and the averages an optimizer remembers.
Left out: activations, which come and go within a step, and the cache of a sampler.
"""

import contextlib
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Passes:
    """What one model did: positions it read, and those of them that gradients went back through."""

    read: int = 0
    learned: int = 0


@contextlib.contextmanager
def counted(**models):
    """Count inside the block: with counted(policy=model) as passes: ...; passes["policy"].read"""
    passes, hooks = {}, []
    for name, model in models.items():
        embedding = next((m for m in model.modules() if isinstance(m, nn.Embedding)), None)
        if embedding is None:
            raise ValueError(f"{name} has no embedding to count at, got {type(model).__name__}: give a language model")
        passes[name] = Passes()

        def count(_, inputs, own=passes[name]):
            own.read += inputs[0].numel()
            own.learned += inputs[0].numel() * torch.is_grad_enabled()

        hooks.append(embedding.register_forward_pre_hook(count))
    try:
        yield passes
    finally:
        for hook in hooks:
            hook.remove()


def held(model, optimizer=None):
    """Bytes kept between steps: {"weights", "gradients", "optimizer"}; the last two only of what is trained."""
    weights = list(model.parameters())
    states = [x for state in (optimizer.state.values() if optimizer else ()) for x in state.values()]
    return {
        "weights": _bytes(weights),
        "gradients": _bytes(p.grad for p in weights if p.grad is not None),
        "optimizer": _bytes(x for x in states if hasattr(x, "numel") and x.numel() > 1),  # without the step counts
    }


def _bytes(tensors):
    return sum(x.numel() * x.element_size() for x in tensors)
