"""A model that remembers what it has read and can forget the end of it again.

Every token costs one position, also when several come at once: they are read in one pass, each seeing those before it.
Going back takes nothing but a smaller length, because what lies behind it in the cache is written over. Speculative
decoding lives on both. Left out: rows of different lengths.

Shapes: B sequences, T new positions, V vocabulary.
"""

import torch

from llmrl.lm.cache import new_cache


class Reader:
    """One text, or B of equal length, read piece by piece."""

    def __init__(self, model, room, rows=1):
        """room: how many positions a text may come to have"""
        context = model.config.context
        if not 1 <= room <= context:
            raise ValueError(
                f"room must be from 1 to the model's context, {context}, got {room}: it is how many tokens prompt and "
                f"continuation have together; shorten one of them"
            )
        self.model, self.cache, self.passes = model, new_cache(model, rows, room), 0

    @property
    def length(self):
        """How many tokens are remembered."""
        return self.cache[0].length

    @torch.no_grad()
    def read(self, ids):
        """Scores after each of ids, which follow what is remembered.  a list of T, or (B, T) -> (B, T, V)"""
        self.passes += 1
        return self.model(ids if torch.is_tensor(ids) else torch.tensor([ids]), cache=self.cache)

    def back_to(self, length):
        """Forget all but the first `length` tokens."""
        if not 0 <= length <= self.length:
            raise ValueError(f"length must be from 0 to the {self.length} tokens remembered, got {length}")
        for past in self.cache:
            past.length = length
