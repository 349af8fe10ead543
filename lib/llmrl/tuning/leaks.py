"""Ways to tell a model wrongly about a row of several texts, one mistake each.

A row of texts needs a mask that keeps each to itself and positions that start anew. These schemes take one of the two
away, or both, so that what each mistake does can be measured on a model whose weights stay as they are
(`llmrl.lm.scheme.retold`). Left out: mistakes in the labels, which no scheme sees.

Shapes: B sequences, T positions, D width, E width of a head.
"""

import torch

from llmrl.lm.scheme import Rotary, Sinusoidal


class OpenMask(Rotary):
    """Every text reads all that stands before it in its row."""

    def look_back(self, ids, mask, past, x):
        return None


class RunOn(Rotary):
    """Positions run on through the row, for queries and keys that are turned."""

    def turns(self, where, config):
        return super().turns(torch.arange(where.shape[-1]), config)


class BothWrong(OpenMask, RunOn):
    """The row is read as one text."""


class WavesRunOn(Sinusoidal):
    """Positions run on through the row, for waves that are added."""

    def mark(self, x, where):
        return super().mark(x, torch.arange(x.shape[1]))
