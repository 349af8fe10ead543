"""How many bytes of tensors are alive at any moment, and who made them.

What breaks a training run is not the memory it needs on average but the most it needs at once. The meter looks over
torch's shoulder: every elementary function that returns a tensor with memory of its own begins a life, and the life
ends when nothing refers to that memory any more. The sum over all lives at a moment is what a machine has to hold.
Left out: scratch space inside a kernel, and what an allocator keeps in reserve or loses between blocks.
"""

import weakref
from dataclasses import dataclass

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Life:
    """The memory of one tensor: its bytes, the function that made it, and the events at which it came and went."""

    bytes: int
    by: str
    born: int
    died: int | None = None


class Meter(TorchDispatchMode):
    """with Meter(*model.parameters()) as meter: ...; then meter.peak has the most bytes, meter.lives each tensor."""

    def __init__(self, *held):
        super().__init__()
        self.lives, self.live, self.peak, self.peak_at, self.event = [], 0, 0, 0, 0
        self._of = {}  # the address of a storage -> its life, while it lasts
        for tensor in held:
            self._meet(tensor, "held before")

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.event += 1
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor):
                self._meet(tensor, function.__name__.split(".")[0])
        return result

    def _meet(self, tensor, by):
        storage = tensor.untyped_storage()
        if storage._cdata in self._of or not storage.nbytes():
            return
        life = Life(storage.nbytes(), by, self.event)
        self._of[storage._cdata] = life
        self.lives.append(life)
        weakref.finalize(storage, self._part, storage._cdata).atexit = False
        self.live += life.bytes
        if self.live > self.peak:
            self.peak, self.peak_at = self.live, self.event

    def _part(self, address):
        life = self._of.pop(address)
        life.died = self.event + 1
        self.live -= life.bytes

    def life(self, tensor):
        """The life of a tensor's memory, or None if the meter never met it."""
        return self._of.get(tensor.untyped_storage()._cdata)


def curve(lives, events):
    """Bytes alive after each event.  lives: some of a meter's, events: how many there were -> list of events+1"""
    change = [0] * (events + 2)
    for life in lives:
        change[life.born] += life.bytes
        if life.died is not None and life.died <= events:
            change[life.died] -= life.bytes
    total, found = 0, []
    for step in change[: events + 1]:
        total += step
        found.append(total)
    return found
