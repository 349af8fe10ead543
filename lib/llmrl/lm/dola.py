r"""DoLa: what the last layer says and an early one does not (Chuang et al. 2023, arXiv:2309.03883).

The output layer can read the stream after any layer. If facts settle late, the difference between a late and an early
reading brings them out: among the tokens that the last layer finds plausible, at least a tenth as probable as its
best, the score is $\log p_L(v)-\log p_M(v)$. The early layer M is chosen for every token anew, as the one whose
distribution differs most from the last, by the Jensen-Shannon divergence. The stream before the first layer is no
candidate where embeddings are tied: it can only name the token just read. Left out: a cache; reading early layers
without the final norm, as the authors' code does.

Shapes: C candidate layers, B sequences, T positions, V vocabulary.
"""

import math

import torch

from llmrl.lm.decoding import min_p_filter
from llmrl.lm.logit_lens import lens


def jensen_shannon(logp, logq):
    r"""$\frac12\mathrm{KL}(p\,\|\,m)+\frac12\mathrm{KL}(q\,\|\,m)$ with $m=\frac12(p+q)$, in nats.  (.., V) -> (..)"""
    middle = torch.logaddexp(logp, logq) - math.log(2)

    def to_middle(logs):  # where a probability is 0 it adds nothing
        return torch.where(logs.isneginf(), 0.0, logs.exp() * (logs - middle)).sum(-1)

    return (to_middle(logp) + to_middle(logq)) / 2


def contrast_layers(last, early, plausible=0.1):
    """Scores of the last layer against the early one that differs most from it, and which one that is.

    last (.., V), early (C, .., V), both logits -> (.., V), -inf where implausible, and the index of a layer (..)
    """
    if not 0 < plausible <= 1:
        raise ValueError(
            f"plausible must be in (0, 1], got {plausible!r}: a token needs this share of the best one's probability, "
            f"0.1 is the paper's choice"
        )
    late, early = last.log_softmax(-1), early.log_softmax(-1)
    chosen = jensen_shannon(late, early).argmax(0)  # (..)
    other = early.take_along_dim(chosen[None, ..., None], 0)[0]  # (.., V)
    return (late - other).masked_fill(min_p_filter(last, plausible).isneginf(), -torch.inf), chosen


class DoLa:
    """A model whose scores are contrasts of layers: greedy(DoLa(model, [1, 2, 3]), ids, 20) decodes with it."""

    def __init__(self, model, layers, plausible=0.1):
        """layers: which to read early; 1 is the stream after the first layer"""
        depth = model.config.layers
        wrong = [layer for layer in layers if layer not in range(depth)]
        if wrong or not layers:
            raise ValueError(
                f"layers must be some of 0 to {depth - 1}, got {layers!r}: they are read before the last layer, "
                f"{depth}, and contrasted with it; with tied embeddings begin at 1"
            )
        self.model, self.layers, self.plausible = model, list(layers), plausible

    def readings(self, ids):
        """Logits of the last layer (B, T, V) and of the early ones (C, B, T, V).  ids (B, T)"""
        streams = self.model.residuals(ids)[[*self.layers, -1]]
        *_, last = read = lens(streams, self.model.norm, self.model.embed.weight)
        return last, read[:-1]

    @torch.no_grad()
    def __call__(self, ids):
        """ids (B, T) -> scores (B, T, V)"""
        return contrast_layers(*self.readings(ids), self.plausible)[0]
