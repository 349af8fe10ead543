"""One explicit random stream per purpose.

A stream is named by what it is for, so a new plot never changes a training run and two cells never share dice.
The base seed comes from LLMRL_SEED and the number of threads from LLMRL_THREADS: every claim of the course has to
hold whatever they are. Left out: the global generator, which nothing here reads or sets.
"""

import os
from hashlib import sha256


def _whole(variable, default, lowest):
    text = os.environ.get(variable, str(default))
    if not text.strip().isdigit() or int(text) < lowest:
        rule = f"{variable} must be a whole number of at least {lowest}"
        raise ValueError(f"{rule}, got {text!r}: unset it or set {variable}={default}")
    return int(text)


def base_seed():
    """The seed every stream of a lesson starts from: LLMRL_SEED, 0 when unset."""
    return _whole("LLMRL_SEED", 0, 0)


def threads():
    """The number of threads a lesson computes on: LLMRL_THREADS, 1 when unset."""
    return _whole("LLMRL_THREADS", 1, 1)


def derive(seed, *purpose):
    """A whole number below 2^56 that depends on the seed and on every label of the purpose."""
    key = "/".join(map(str, (seed, *purpose))).encode()
    return int.from_bytes(sha256(key).digest()[:7], "big")


def rng(seed, *purpose):
    """A torch generator of its own for one purpose: rng(0, "sft", "batches")."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *purpose))


def numpy_rng(seed, *purpose):
    """A numpy generator of its own for one purpose, for what runs on arrays: numpy_rng(0, "bandit", "rewards")."""
    import numpy as np

    return np.random.default_rng(derive(seed, *purpose))
