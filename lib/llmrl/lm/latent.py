r"""Multi-head latent attention (MLA), as in DeepSeek-V2: one short vector per token instead of keys and values.

A token leaves a latent $c$ of C numbers; two matrices per head, $W_{UK}$ and $W_{UV}$, make its key and value from it.
Then $q^\top W_{UK}c=(W_{UK}^\top q)^\top c$: absorb the matrix into the query, and keys need never be made; values
likewise, after mixing. A rotation between query and $W_{UK}$ would depend on the distance and could not be absorbed, so
position travels apart, in R numbers that all heads share. Absorbed, MLA is multi-query attention with key $[c,k^R]$ and
value $c$.
Left out: the queries' own compression, which saves activations while training and nothing in the cache.

Shapes: B sequences, T new positions, S of all so far, D width, H heads, E width of a head, C latent, R rotated numbers.
"""

from dataclasses import dataclass

import torch
from torch import nn

from llmrl.lm.attention import attend, causal_mask
from llmrl.lm.model import Linear, RMSNorm
from llmrl.lm.positions import rope


@dataclass(frozen=True)
class Shape:
    """The sizes of one layer."""

    width: int = 128  # D
    heads: int = 4  # H
    head_width: int = 32  # E, of values and of the part of keys and queries that knows no position
    latent: int = 48  # C
    rotated: int = 16  # R
    rope_base: float = 10000.0
    eps: float = 1e-6

    def __post_init__(self):
        for name in ("width", "heads", "head_width", "latent", "rotated"):
            if not isinstance(getattr(self, name), int) or getattr(self, name) < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {getattr(self, name)!r}")
        if self.rotated % 2:
            raise ValueError(f"rotated must be even, got {self.rotated}: a rotation turns numbers in pairs")

    @property
    def scale(self):
        return (self.head_width + self.rotated) ** -0.5


def latent_bytes(layers, shape, positions, size=4):
    """What a latent cache takes: C + R numbers per layer and position, for all heads together."""
    return layers * (shape.latent + shape.rotated) * positions * size


class Latents:
    """What one layer remembers: a row [c, k^R] per position, room for all of them taken once."""

    def __init__(self, rows, positions, shape):
        self.numbers, self.length = torch.empty(rows, positions, shape.latent + shape.rotated), 0

    def append(self, new):
        """Write (B, T, C + R) behind the past and return all of it, (B, S, C + R)."""
        start, self.length = self.length, self.length + new.shape[1]
        self.numbers[:, start : self.length] = new
        return self.numbers[:, : self.length]


class LatentAttention(nn.Module):
    """MLA in both forms: `expanded` makes keys and values as one would train it, `absorbed` never does."""

    def __init__(self, shape, generator):
        super().__init__()
        self.shape, s = shape, shape
        self.q = Linear(s.width, s.heads * (s.head_width + s.rotated))
        self.down, self.norm = Linear(s.width, s.latent + s.rotated), RMSNorm(s.latent, s.eps)
        self.up, self.out = Linear(s.latent, s.heads * 2 * s.head_width), Linear(s.heads * s.head_width, s.width)
        with torch.no_grad():
            for linear in (self.q, self.down, self.up, self.out):
                linear.weight.normal_(0, linear.in_features**-0.5, generator=generator)

    def queries(self, x, past=0):
        """(B, T, D) -> the plain part (B, H, T, E) and the rotated part (B, H, T, R)"""
        q = self.q(x).unflatten(-1, (self.shape.heads, -1)).transpose(1, 2)  # (B, H, T, E + R)
        plain, turned = q.split([self.shape.head_width, self.shape.rotated], dim=-1)
        return plain, rope(turned, torch.arange(past, past + x.shape[1]), self.shape.rope_base)

    def compress(self, x, past=0):
        """All that is remembered of a position, [c, k^R].  (B, T, D) -> (B, T, C + R)"""
        latent, turned = self.down(x).split([self.shape.latent, self.shape.rotated], dim=-1)
        positions = torch.arange(past, past + x.shape[1])
        return torch.cat([self.norm(latent), rope(turned, positions, self.shape.rope_base)], dim=-1)

    def matrices(self):
        """W_UK and W_UV of every head, each (H, E, C)."""
        return self.up.weight.unflatten(0, (self.shape.heads, 2, -1)).unbind(1)

    def expand(self, remembered):
        """Keys and values from what is remembered.  (B, S, C + R) -> (B, H, S, E + R) and (B, H, S, E)"""
        latent, turned = remembered.split([self.shape.latent, self.shape.rotated], dim=-1)
        keys, values = (latent[:, None] @ W.mT for W in self.matrices())  # (B, H, S, E)
        shared = turned[:, None].expand(-1, self.shape.heads, -1, -1)  # (B, H, S, R)
        return torch.cat([keys, shared], dim=-1), values

    def expanded(self, x, cache=None):
        """The form of the equations: make keys and values of every position, then attend.  (B, T, D) -> (B, T, D)"""
        past = cache.length if cache else 0
        q, new = torch.cat(self.queries(x, past), dim=-1), self.compress(x, past)
        k, v = self.expand(cache.append(new) if cache else new)
        y = attend(q, k, v, causal_mask(x.shape[1], past))  # (B, H, T, E)
        return self.out(y.transpose(1, 2).flatten(2))

    def absorbed(self, x, cache=None):
        """The same without keys and values: queries come to the latents.  (B, T, D) -> (B, T, D)"""
        past = cache.length if cache else 0
        (plain, turned), new = self.queries(x, past), self.compress(x, past)
        W_UK, W_UV = self.matrices()
        q = torch.cat([plain @ W_UK, turned], dim=-1)  # (B, H, T, C + R)
        k = (cache.append(new) if cache else new)[:, None]  # (B, 1, S, C + R): one key head for all
        latent = attend(q, k, k[..., : self.shape.latent], causal_mask(x.shape[1], past), self.shape.scale)
        return self.out((latent @ W_UV.mT).transpose(1, 2).flatten(2))  # (B, H, T, C) -> (B, H, T, E) -> (B, T, D)
