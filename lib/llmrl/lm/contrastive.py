r"""Contrastive search: of the likely tokens, the one that leads somewhere new (Su et al. 2022, arXiv:2202.06417).

Greedy text falls into loops, and in a loop the vectors the model computes come out nearly the same again. So each of
the k most likely tokens is tried, and its vector $h_v$ compared with those of all tokens before it; being close to one
of them costs: $\arg\max_v\;(1-\alpha)\,p(v\mid x)-\alpha\,\max_j\cos(h_v, h_j)$. With $\alpha = 0$ or $k = 1$ it is
greedy. The k candidates of a row are k rows of one batch, so a token costs one wider pass. Left out: padding; sampling.

Shapes: B sequences, T positions, k candidates, D width, V vocabulary.
"""

import torch
import torch.nn.functional as F

from llmrl.lm import batch
from llmrl.lm.cache import new_cache
from llmrl.lm.decoding import check_max_new


def closest(candidates, past):
    """The cosine of each candidate with the vector of the past nearest to it.  (B, k, D), (B, T, D) -> (B, k)"""
    cosines = F.normalize(candidates, dim=-1) @ F.normalize(past, dim=-1).mT  # (B, k, T)
    return cosines.amax(-1)


def contrastive_score(probability, cosine, alpha):
    r"""$(1-\alpha)\,p-\alpha\max\cos$, how good a candidate is.  (B, k), (B, k) -> (B, k)"""
    return (1 - alpha) * probability - alpha * cosine


@torch.no_grad()
def contrastive_search(model, ids, max_new, k=4, alpha=0.6):
    """The texts continued by max_new tokens, each the best by its score.  ids (B, T) -> (B, T + max_new)"""
    check(model, ids, max_new, k, alpha)
    cache = new_cache(model, len(ids), ids.shape[1] + max_new)
    past = model.hidden(ids, cache=cache)  # (B, T, D)
    rows = torch.arange(len(ids), device=ids.device)
    for _ in range(max_new):
        probability, tokens = model.unembed(past[:, -1]).softmax(-1).topk(k)  # (B, k)
        keep(cache, rows.repeat_interleave(k))
        hidden = model.hidden(tokens.reshape(-1, 1), cache=cache).view(len(ids), k, -1)  # (B, k, D)
        best = contrastive_score(probability, closest(hidden, past), alpha).argmax(-1)  # (B,)
        keep(cache, rows * k + best)
        past = torch.cat([past, hidden[rows, best][:, None]], dim=1)
        ids = torch.cat([ids, tokens[rows, best][:, None]], dim=1)
    return ids


def keep(cache, rows):
    for layer in cache:
        layer.keep(rows)


def check(model, ids, max_new, k, alpha):
    batch.check_ids(ids)
    check_max_new(max_new)
    vocab, context = model.config.vocab, model.config.context
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= vocab:
        raise ValueError(
            f"k must be a whole number from 1 to the vocabulary, {vocab}, got {k!r}: it is how many candidates are "
            f"tried, 4 to 8 are common and 1 is greedy"
        )
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha!r}: 0 is greedy, 0.6 is the paper's usual choice")
    if ids.shape[1] + max_new > context:
        raise ValueError(
            f"a prompt of {ids.shape[1]} tokens and max_new = {max_new} do not fit in a context of {context}: set "
            f"max_new to {context - ids.shape[1]} or less, or shorten the prompt"
        )
