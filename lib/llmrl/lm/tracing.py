"""What happened inside a model while it ran: a list of records taken from one live forward pass.

Hooks note every module as it begins and ends. Some of what matters runs without a module of its own: the sum that adds
a branch back to the stream, the look of queries at keys, the output layer that reads the embedding matrix a second
time. A torch function mode notes those. A weight is counted where it is first used; whoever uses it again says so.
Left out: elementwise operations, gradients, time.
"""

import contextlib
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from torch.overrides import TorchFunctionMode

SUMS = {torch.add, *(getattr(torch.Tensor, name) for name in ("add", "add_", "__add__", "__radd__", "__iadd__"))}
PRODUCTS = {F.linear, torch.matmul, torch.Tensor.matmul, torch.Tensor.__matmul__}


@dataclass(frozen=True)
class Record:
    """One thing that ran."""

    name: str  # "layers.0.attention"; "" is the model itself
    kind: str  # the module's class, or "function"
    inputs: tuple  # the shape of the first tensor that went in
    outputs: tuple  # the shape of the first tensor that came out
    parameters: int  # learned numbers, its own and those of everything inside
    depth: int  # how many recorded modules it ran inside
    reads: int  # the number of the tensor that went in: equal numbers, same tensor
    writes: int  # the number of the tensor that came out
    tied: str = ""  # the earlier user of its weight


def trace(model, *inputs, **named):
    """Run model(*inputs, **named) once and return the records of all that ran, in the order it began."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"trace() takes a torch module and its inputs, got {type(model).__name__}: trace(model, ids)")
    watch = Watch()
    with torch.no_grad(), hooked(model, watch), watch:
        model(*inputs, **named)
    return [watch.record(entry) for entry in watch.entries]


@contextlib.contextmanager
def hooked(model, watch):
    """Tell watch when a module of the model begins and ends."""
    handles = []
    for name, module in model.named_modules():
        begin = lambda module, args, kwargs, name=name: watch.begin(name, module, (args, kwargs))  # noqa: E731
        handles.append(module.register_forward_pre_hook(begin, with_kwargs=True))
        handles.append(module.register_forward_hook(lambda module, args, out: watch.end(out)))
        for weight in module.parameters(recurse=False):
            watch.weights[address(weight)] = weight
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass
class Entry:
    """A record in the making."""

    name: str
    module: nn.Module
    read: torch.Tensor
    depth: int
    first: int  # its place among the entries
    last: int = 0  # the place behind the last entry inside it
    wrote: torch.Tensor = None
    own: int = 0  # learned numbers that are counted here
    tied: str = ""


class Watch(TorchFunctionMode):
    """Takes notes while a model runs."""

    def __init__(self):
        super().__init__()
        self.entries, self.running = [], []
        self.weights = {}  # address of a weight -> the weight
        self.counted = {}  # address of a weight -> the entry that counts it
        self.numbers = {}  # address of a tensor -> its number; entries keep their tensors, so no address is used twice

    def begin(self, name, module, given):
        entry = Entry(name, module, first_tensor(given), len(self.running), len(self.entries))
        self.number(entry.read)
        self.entries.append(entry)
        self.running.append(entry)

    def end(self, out):
        entry = self.running.pop()
        self.close(entry, first_tensor(out), entry.module.parameters(), entry.module.parameters(recurse=False))

    def close(self, entry, wrote, weights, direct):
        """Note what came out, and count the weights nobody has counted; direct ones already counted are tied."""
        entry.wrote, entry.last, direct = wrote, len(self.entries), list(direct)
        self.number(wrote)
        for weight in weights:
            earlier = self.counted.setdefault(address(weight), entry)
            if earlier is entry:
                entry.own += weight.numel()
            elif any(weight is mine for mine in direct):
                entry.tied = earlier.name

    def __torch_function__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if self.running and isinstance(out, torch.Tensor):
            if func is F.scaled_dot_product_attention:
                self.note("scaled_dot_product_attention", first_tensor((args, kwargs)), out)
            elif func in SUMS and (stream := self.stream(args, out)) is not None:
                self.note("add", stream, out)
            elif func in PRODUCTS and (weight := self.borrowed(args)) is not None:
                self.note("linear", args[0], out, [weight])
        return out

    def note(self, function, read, wrote, weights=()):
        """An entry for a function that is no module."""
        parent = self.running[-1].name
        entry = Entry(f"{parent}.{function}".lstrip("."), None, read, len(self.running), len(self.entries))
        self.number(read)
        self.entries.append(entry)
        self.close(entry, wrote, weights, weights)

    def stream(self, args, out):
        """Of two tensors of one shape that are added, one of them written by an entry, the other (or older) one."""
        if len(args) != 2 or any(not isinstance(x, torch.Tensor) or x.shape != out.shape or x.dim() < 2 for x in args):
            return None
        written = {address(entry.wrote) for entry in self.entries if entry.wrote is not None}
        if not any(address(x) in written for x in args):
            return None
        return min(args, key=lambda x: (address(x) in written, self.numbers.get(address(x), -1)))

    def borrowed(self, args):
        """The weight a product uses although it belongs to another module than the one that runs."""
        mine = {address(weight) for weight in self.running[-1].module.parameters(recurse=False)}
        places = [address(x) for x in args if isinstance(x, torch.Tensor)]
        return next((self.weights[place] for place in places if place in self.weights and place not in mine), None)

    def number(self, tensor):
        return -1 if tensor is None else self.numbers.setdefault(address(tensor), len(self.numbers))

    def record(self, entry):
        kind = type(entry.module).__name__ if entry.module is not None else "function"
        tensors = entry.read, entry.wrote
        shapes = (() if x is None else tuple(x.shape) for x in tensors)
        parameters = sum(inner.own for inner in self.entries[entry.first : entry.last])
        return Record(entry.name, kind, *shapes, parameters, entry.depth, *map(self.number, tensors), entry.tied)


def address(tensor):
    """Where a tensor's numbers lie: a view has the address of what it looks at."""
    return tensor.untyped_storage().data_ptr()


def first_tensor(given):
    """The first tensor in nested tuples, lists and dictionaries."""
    if isinstance(given, torch.Tensor):
        return given
    if isinstance(given, (tuple, list, dict)):
        inside = given.values() if isinstance(given, dict) else given
        return next((found for x in inside if (found := first_tensor(x)) is not None), None)
    return None
