r"""How much to compute again: a plan for a chain of n layers, what it holds and how often it runs a layer.

A plan is a list. A number in it means so many layers that keep all they need; a list means a segment that keeps only
what went in, and whose own plan says what to do when it is run again. So [16] forgets nothing, [[4], [4], [4], [4]] is
the square-root rule, and [[[[1], 1], 1], 1] starts from the very first input for every layer. Memory and work follow
from the list alone; `run` carries it out. With a the bytes a layer keeps and b those of the stream between two layers,
segments of k layers hold $\lceil n/k\rceil b+ka$, the least near $k=\sqrt{nb/a}$: that is $\sqrt n$ only where a = b.
Left out: schedules between these that are optimal for a given memory (Griewank and Walther 2000), layers that differ.
"""

import contextlib
from math import isqrt

from torch import nn

from llmrl.perf import checkpointing


def segments(n, size):
    """n layers in segments of `size`, the last one shorter if it has to be."""
    _check(n, size)
    return [[min(size, n - start)] for start in range(0, n, size)]


def square_root(n):
    """The textbook's rule: about as many segments as there are layers in each."""
    return segments(n, max(1, isqrt(n)))


def halving(n):
    """The first half is a segment with a plan of its own, then the second half; down to single layers."""
    _check(n)
    return [1] if n == 1 else [halving(n // 2), *halving(n - n // 2)]


def from_the_start(n):
    """Keep nothing: every layer's input is computed from the first one again."""
    _check(n)
    return [1] if n == 1 else [from_the_start(n - 1), 1]


def layers(plan):
    """How many layers a plan is for."""
    return sum(item if isinstance(item, int) else layers(item) for item in plan)


def forwards(plan):
    """How often some layer runs forward in one training step; without a checkpoint as often as there are layers."""
    return sum(item if isinstance(item, int) else layers(item) + forwards(item) for item in plan)


def peak(plan, layer, stream, inside=False):
    """The most that a plan holds at once.  layer: bytes a layer keeps, its input included; stream: bytes of an input

    A segment's first input is held already. A segment inside another one lets that one's slope wait, as large as it.
    """
    held = sum(item * layer if isinstance(item, int) else stream for item in plan)
    most = held
    for item in reversed(plan):
        if isinstance(item, int):
            held -= item * layer
        else:
            most = max(most, held - (not inside) * stream + peak(item, layer, stream, inside=True))
            held -= stream
    return most


def run(stack, plan, x, *rest, checkpoint=checkpointing.checkpoint):
    """Send x through the layers as a plan says.  stack: as many modules as the plan has layers; rest: goes into each"""
    if len(stack) != layers(plan):
        raise ValueError(f"the plan is for {layers(plan)} layers, got {len(stack)}: make it for as many as there are")
    start = 0
    for item in plan:
        part = stack[start : start + (item if isinstance(item, int) else layers(item))]
        start += len(part)
        if isinstance(item, int):
            for layer in part:
                x = layer(x, *rest)
        else:
            x = checkpoint(lambda x, part=part, item=item: run(part, item, x, *rest, checkpoint=checkpoint), x)
    return x


class Planned(nn.Module):
    """All layers of a model as one that follows a plan."""

    def __init__(self, stack, plan, checkpoint):
        super().__init__()
        self.stack, self.plan, self.checkpoint = stack, plan, checkpoint

    def forward(self, x, turn, visible=None, past=None):
        return run(self.stack, self.plan, x, turn, visible, past, checkpoint=self.checkpoint)


@contextlib.contextmanager
def planned(model, plan, checkpoint=checkpointing.checkpoint):
    """with planned(model, plan): a TinyLM trains as the plan says. Its weights are the same inside and outside."""
    stack = model.layers
    if len(stack) != layers(plan):
        raise ValueError(f"the plan is for {layers(plan)} layers, the model has {len(stack)}: segments(n, size) cuts n")
    model.layers = nn.ModuleList([Planned(stack, plan, checkpoint)])
    try:
        yield model
    finally:
        model.layers = stack


def _check(n, size=1):
    for name, value in (("n", n), ("size", size)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of layers, at least 1, got {value!r}")
