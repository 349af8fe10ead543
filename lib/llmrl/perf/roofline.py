r"""The roofline: how fast an operation can be, from what it computes and what it moves (Williams et al. 2009).

A machine has two limits, P operations per second and W bytes per second from memory. An operation of F operations that
moves M bytes takes at least max(F/P, M/W) seconds, so its speed is at most $\min(P,\;W\cdot F/M)$. F/M is its
intensity. Left of the ridge P/W memory is the limit and arithmetic waits; right of it the other way round. The
counts here are of one visit: each operand read once, each result written once, which is the least a kernel can do.
Left out: caches, which make the second visit cheaper, and operations that overlap. `fused` says what one kernel saves.

Letters: B sequences, T positions, S positions looked at, D width, H heads, K key-value heads, E width of a head.
"""

import time
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Work:
    """What an operation computes and what it moves; two of them can be added."""

    flops: float
    bytes: float

    @property
    def intensity(self):
        return self.flops / self.bytes

    def __add__(self, other):
        return Work(self.flops + other.flops, self.bytes + other.bytes)


def matmul(rows, inner, columns, size=4):
    """(rows, inner) times (inner, columns), `size` bytes a number."""
    return Work(2 * rows * inner * columns, size * (rows * inner + inner * columns + rows * columns))


def elementwise(numbers, flops, reads=1, writes=1, size=4):
    """So many operations for each number, so many tensors read and written: a norm, a sum, a gate."""
    return Work(flops * numbers, (reads + writes) * numbers * size)


def attention(config, B, T, S, fused=False, size=4):
    """T queries of every head look at S positions, nothing skipped. fused: scores never reach memory."""
    E, scores = config.head_width, B * config.heads * T * S
    moved = 2 * B * T * config.width + 2 * B * S * config.kv_heads * E  # queries and outputs, keys and values
    return Work(4 * scores * E + 5 * scores, size * (moved + (0 if fused else 4 * scores)))


def network(config, rows, size=4):
    """The three matrices of a layer's network on so many tokens, and the gate between them."""
    D, ffn = config.width, config.ffn
    three = matmul(rows, D, ffn, size) + matmul(rows, D, ffn, size) + matmul(rows, ffn, D, size)
    return three + elementwise(rows * ffn, 5, reads=2, size=size)


def norm(config, rows, size=4):
    """RMSNorm: square, add, divide, scale."""
    return elementwise(rows * config.width, 4, size=size)


def embedding(config, rows, size=4):
    """Read a row for every token and write it: no arithmetic at all."""
    return elementwise(rows * config.width, 0, size=size)


def attainable(intensity, peak, bandwidth):
    r"""$\min(P,\;W\cdot\text{intensity})$, operations per second.  intensity: a number or an array"""
    import numpy as np

    return np.minimum(peak, bandwidth * np.asarray(intensity, dtype=float))


def ridge(peak, bandwidth):
    """The intensity from which on a machine is busy computing, operations per byte."""
    if not (peak > 0 and bandwidth > 0):
        raise ValueError(f"peak and bandwidth must be above 0, got {peak!r} and {bandwidth!r}: both are per second")
    return peak / bandwidth


def seconds(function, least=0.05):
    """Processor seconds of one call on one core, over calls that take at least so many together.

    Waiting for memory counts, waiting while other programs have the core does not.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        function()
        calls, start = 0, time.process_time()
        while (spent := time.process_time() - start) < least:
            function()
            calls += 1
    finally:
        torch.set_num_threads(threads)
    return spent / calls


def measured_peak(side=1024, dtype=torch.float32):
    """Operations per second of one core on a product of two square matrices, the friendliest work there is."""
    a, b = torch.ones(side, side, dtype=dtype), torch.ones(side, side, dtype=dtype)
    out = torch.empty_like(a)
    return 2 * side**3 / seconds(lambda: torch.mm(a, b, out=out), least=0.3)


def measured_bandwidth(megabytes=128):
    """Bytes per second of one core copying a tensor: read once, written once. A small one fits into a cache."""
    numbers = int(megabytes * 1e6 / 4)
    x, y = torch.ones(numbers), torch.empty(numbers)
    return 2 * 4 * numbers / seconds(lambda: y.copy_(x), least=0.3)
