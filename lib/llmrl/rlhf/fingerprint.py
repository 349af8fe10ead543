r"""Which model moved: a fingerprint of every weight, before and after.

RLHF keeps several models that began as copies of each other, and some of them must never change. A hash of the bytes
of a model says so without doubt: two models with one fingerprint hold the same numbers, bit by bit, and one that has
another fingerprint than before was changed by somebody, be it an optimizer or a slip such as a reference that is no
copy. Left out: what an optimizer remembers, and models spread over several machines.
"""

import contextlib
from dataclasses import dataclass, field
from hashlib import sha256

import torch


def parts(model):
    """The fingerprint of every weight and buffer of a model, or of its state_dict that was kept, by name."""
    weights = model if isinstance(model, dict) else model.state_dict()
    return {name: _digest(name, tensor) for name, tensor in weights.items()}


def fingerprint(model):
    """One short name for all numbers of a model: the same for equal models, and for them only."""
    found = parts(model)
    if not found:
        raise ValueError(f"{type(model).__name__} holds no weights: there is nothing to take a fingerprint of")
    return sha256("".join(found[name] for name in sorted(found)).encode()).hexdigest()[:12]


def _digest(name, tensor):
    """Name, dtype, shape and bytes; -0.0 and 0.0 differ, as their bytes do."""
    about = f"{name} {tensor.dtype} {tuple(tensor.shape)}"
    if tensor.is_meta:
        raise ValueError(f"{name} is on the meta device and has no numbers: load its weights first")
    raw = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes()
    return sha256(about.encode() + raw).hexdigest()


@dataclass
class Change:
    """A model before and after: its fingerprints, how many weights it has, and the names of those that are others."""

    before: str
    weights: int
    after: str = ""
    moved: list = field(default_factory=list)


@contextlib.contextmanager
def observed(**models):
    """What changes inside the block: with observed(policy=model) as found: ...; found["policy"].moved"""
    start = {name: parts(model) for name, model in models.items()}
    found = {name: Change(fingerprint(model), len(start[name])) for name, model in models.items()}
    yield found
    for name, model in models.items():
        found[name].after = fingerprint(model)
        now = parts(model)
        found[name].moved = [weight for weight in now if now[weight] != start[name].get(weight)]
