"""Attention by tiles against attention that writes its weights down: memory over the length, and what it costs in time.

Both are made of torch's own functions, so this is about memory. A kernel, torch's own among them, saves time as well.
"""

import torch

from bench.contest import Contest, agree, row
from llmrl.lm.attention import attend, causal_mask
from llmrl.perf.attention import flash
from llmrl.perf.peak import Meter
from llmrl.seeds import rng
from llmrl.tuning.rates import power

HEADS, WIDTH, BLOCK = 4, 32, 128


def inputs(T):
    """q, k and v of one text."""
    return [torch.randn(1, HEADS, T, WIDTH, generator=rng(0, "bench", T, i)).requires_grad_() for i in range(3)]


def by_tiles(q, k, v):
    return flash(q, k, v, True, BLOCK)


def in_full(q, k, v):
    return attend(q, k, v, causal_mask(q.shape[2]))


def both_passes(attention, x):
    """-> the gradients"""
    return torch.autograd.grad(attention(*x).square().sum(), x)


def peak(attention, T):
    """Bytes alive at the worst moment of both passes, without q, k, v themselves."""
    x = inputs(T)
    with Meter(*x) as meter:
        before = meter.live
        both_passes(attention, x)
    return meter.peak - before


@row("flash.memory", threads=(1,))
def against_full_weights(quick):
    """Forward and backward of one text; the note has the bytes and how they grow."""
    lengths = (256, 512) if quick else (512, 1024, 2048, 4096)
    for a, b in zip(*(both_passes(attention, inputs(lengths[0])) for attention in (by_tiles, in_full))):
        agree("the largest difference of a gradient", (a - b).abs().max().item(), 0.0, tolerance=1e-4)
    ours, theirs = ([peak(attention, T) for T in lengths] for attention in (by_tiles, in_full))
    note = (
        f"peak memory over {lengths[0]} to {lengths[-1]} positions grows with exponent {power(lengths, ours):.2f} "
        f"against {power(lengths, theirs):.2f}; at {lengths[-1]}: {ours[-1] / 2**20:.0f} MiB against "
        f"{theirs[-1] / 2**20:.0f}, a ratio of {theirs[-1] / ours[-1]:.0f}"
    )
    x = inputs(lengths[-1])
    ours, theirs = (lambda attention=a: both_passes(attention, x) for a in (by_tiles, in_full))
    return Contest(ours, theirs, lengths[-1], "tokens/s", 1.0, note)
