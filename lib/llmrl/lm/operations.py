r"""How many arithmetic operations a function makes on the numbers of its tensors, counted while it runs.

torch reports every elementary function it calls. One that works number by number makes one operation per number it
returns; one that sums makes one per number it reads. Matrix products are counted by torch's own FlopCounterMode.
Left out: what moves through memory, which on real machines often costs more than the arithmetic.
"""

from collections import Counter

from torch.utils._python_dispatch import TorchDispatchMode

SUMS = {"sum", "mean", "amax"}
FREE = {"view", "expand", "unsqueeze", "squeeze", "permute", "t", "transpose", "detach", "alias", "slice", "select"}


class OperationCounter(TorchDispatchMode):
    """with OperationCounter() as counter: ...; then counter.counts has the operations by name."""

    def __init__(self):
        super().__init__()
        self.counts = Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        name = function.__name__.split(".")[0]
        if name not in FREE:
            self.counts[name] += (args[0] if name in SUMS else result).numel()
        return result


def operations(function, *args):
    """The operations of function(*args), by name.  -> Counter"""
    with OperationCounter() as counter:
        function(*args)
    return counter.counts
