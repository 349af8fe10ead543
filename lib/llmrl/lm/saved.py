r"""What autograd keeps from the forward pass for the backward pass, and for how long.

Most of the memory of training is neither weights nor gradients but activations, kept because some derivative needs
them. torch tells when it lays a tensor by and when it takes it out again. A tensor laid by twice is one tensor; the
parameters are there anyway and do not count.
Left out: checkpointing, which keeps less and computes the rest again.
"""

from dataclasses import dataclass

import torch


@dataclass
class Saved:
    """One tensor that was laid by: its shape, its bytes, and the numbers of the events that stored and last used it."""

    shape: tuple
    bytes: int
    stored: int
    used: int | None = None


def saved(loss, parameters=(), backward=True):
    """Run loss() and its backward pass; what was kept in between, in the order in which it was stored.  -> list"""
    ignored = {p.untyped_storage().data_ptr() for p in parameters}
    found, held, clock = {}, [], iter(range(10**9))

    def store(tensor):
        place = tensor.untyped_storage().data_ptr()
        if place not in ignored and place not in found:
            held.append(tensor)  # an address is not given to another tensor while this one lives
            found[place] = Saved(tuple(tensor.shape), tensor.untyped_storage().nbytes(), next(clock))
        return tensor

    def use(tensor):
        if (place := tensor.untyped_storage().data_ptr()) in found:
            found[place].used = next(clock)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(store, use):
        value = loss()
        if backward:
            value.backward()
    return list(found.values())
