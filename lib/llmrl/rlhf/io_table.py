"""Who was asked what: every call of some models inside a block, with the shapes that went in and came out.

A table of inputs and outputs can be drawn from memory, or read off the models while they work. `calls` hooks the models
and notes each call in the order it happened, and whether gradients were on. Left out: what goes on inside a model, and
sampling, which reads token after token through a cache and is no single call.
"""

import contextlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Call:
    """One call of one model."""

    model: str
    takes: tuple  # the shape of each tensor that went in
    gives: tuple  # the shape that came out
    dtype: str
    learns: bool  # whether gradients can go back through it


@contextlib.contextmanager
def calls(**models):
    """Inside the block: with calls(policy=model) as seen: ...; seen is a list of Call."""
    seen, hooks = [], []
    for name, model in models.items():

        def note(_, inputs, out, own=name):
            takes = tuple(tuple(x.shape) for x in inputs)
            seen.append(Call(own, takes, tuple(out.shape), str(out.dtype).removeprefix("torch."), out.requires_grad))

        hooks.append(model.register_forward_hook(note))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()
