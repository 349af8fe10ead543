"""The place where a model is told positions, so that one model can be told in several ways.

A scheme may act in three places: on what enters the first layer (`mark`), on queries and keys (`turns`), on the scores
of attention (`look_back`). Each of the three known schemes uses one of them and leaves the others as they are; the
plain Scheme uses none, and a model with it knows only who comes before whom. Left out: a scheme that is learned.

Shapes: B sequences, T new positions, D width, H heads, E width of a head.
"""

import copy
import math
from dataclasses import dataclass, replace

import torch

from llmrl.lm import batch, positions


@dataclass(frozen=True)
class Scheme:
    """Tells nothing: causal attention itself is all a model knows of order."""

    def check(self, config):
        """Raise when a model of this size cannot use the scheme."""

    def mark(self, x, where):
        """What enters the first layer.  x (B, T, D), where (T,) or (B, 1, T) -> (B, T, D)"""
        return x

    def turns(self, where, config):
        """How far queries and keys are turned, as complex numbers.  where (.., T) -> (.., T, E/2), or None"""
        return None

    def look_back(self, ids, mask, past, x):
        """Who may look at whom: bool, or what is added to the scores, like x; None where that is plainly causal."""
        return batch.look_back(ids, mask, past)


@dataclass(frozen=True)
class Rotary(Scheme):
    """RoPE. Frequencies other than those of the base stretch it to longer texts; strength scales queries and keys."""

    frequencies: tuple | None = None  # E/2 of them, radians per token; None: those of rope_base
    strength: float = 1.0

    def check(self, config):
        if self.frequencies is not None and len(self.frequencies) != config.head_width // 2:
            raise ValueError(
                f"frequencies must be one per pair of a head, {config.head_width // 2}, got {len(self.frequencies)}: "
                f"Rotary(tuple(theta.tolist())) takes those of llmrl.lm.context"
            )

    def turns(self, where, config):
        if self.frequencies is None:
            theta = positions.frequencies(config.head_width, config.rope_base)
        else:
            theta = torch.tensor(self.frequencies)
        angle = positions.angles(where, theta)
        return torch.polar(torch.full_like(angle, self.strength), angle)


@dataclass(frozen=True)
class Sinusoidal(Scheme):
    """A wave per pair of numbers, added to the embedding, which is scaled up to be heard beside it."""

    base: float = 10000.0

    def mark(self, x, where):
        table = positions.sinusoidal(where, x.shape[-1], self.base).to(x.dtype)  # (T, D) or (B, 1, T, D)
        return math.sqrt(x.shape[-1]) * x + (table.squeeze(-3) if table.dim() == 4 else table)


@dataclass(frozen=True)
class Alibi(Scheme):
    """A fine on every score that grows with the distance."""

    heads: int

    def check(self, config):
        if self.heads != config.heads:
            raise ValueError(f"Alibi must have one slope per head, {config.heads}, got {self.heads}: Alibi(heads)")

    def look_back(self, ids, mask, past, x):
        length = past + ids.shape[1]
        keys = torch.arange(length, device=ids.device) if mask is None else batch.positions(mask, mask, 0)
        queries = keys[..., past:]
        bias = positions.alibi_bias(positions.alibi_slopes(self.heads), queries, keys)
        visible = batch.look_back(ids, mask, past)
        if visible is None:
            visible = torch.ones(len(queries), length, dtype=torch.bool, device=ids.device).tril(past)
        bias = bias.flatten(1, 2) if bias.dim() == 5 else bias  # (B, 1, H, T, S) -> (B, H, T, S)
        return bias.masked_fill(~visible, -torch.inf).to(x.dtype)


def retold(model, scheme):
    """The same weights, told positions in another way. The model itself stays as it is."""
    other = copy.copy(model)
    other.config = replace(model.config, scheme=scheme)
    return other
