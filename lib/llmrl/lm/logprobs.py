"""What a model thinks of a text, token by token.

Almost everything after pretraining (distillation, preference losses, policy gradients, the KL leash) reads a language
model through one number per token: the log-probability it gave to the token that came. Left out: a chunked version
for vocabularies so large that the logits do not fit in memory.

Shapes: B sequences, T positions, V vocabulary.
"""

import torch

from llmrl.lm import batch


def log_softmax(logits):
    r"""$z_i-\log\sum_j e^{z_j}$, the largest score subtracted first so that no power overflows.  (.., V) -> (.., V)"""
    logits = logits - logits.amax(-1, keepdim=True)
    return logits - logits.exp().sum(-1, keepdim=True).log()


def token_logp(logits, ids):
    r"""$\log\pi(y_t\mid y_{<t})$ of every token but the first.  logits (B, T, V), ids (B, T) -> (B, T-1)"""
    batch.check_ids(ids)
    if logits.shape[:-1] != ids.shape:
        raise ValueError(
            f"logits must be (B, T, V) for ids of shape (B, T), got logits {tuple(logits.shape)} and ids "
            f"{tuple(ids.shape)}: call the model on exactly these ids, one row per sequence"
        )
    batch.check_range(ids, logits.shape[-1])
    following = ids.roll(-1, dims=1)[..., None]  # (B, T, 1); the last has nothing to follow and is cut off
    return logits.log_softmax(-1).gather(-1, following).squeeze(-1)[:, :-1]  # (B, T-1)


def masked_mean(x, mask, dim=None):
    """Mean over the True entries of mask; 0 where there are none. `where`, not `*`: padding may hold nan."""
    if mask.dtype != torch.bool or mask.shape != x.shape:
        raise ValueError(
            f"mask must be bool of shape {tuple(x.shape)} like x, got {mask.dtype} of shape {tuple(mask.shape)}: "
            f"compare to make it bool, expand it to give every entry its own"
        )
    return torch.where(mask, x, 0.0).sum(dim) / mask.sum(dim).clamp(min=1)


def perplexity(logp, mask):
    r"""$\exp(-\frac{1}{|M|}\sum_{t\in M}\log\pi(y_t))$: among how many equally likely tokens one might as well guess.

    logp, mask (B, T) -> a number; every marked token weighs the same, whatever the length of its row
    """
    return (-masked_mean(logp, mask)).exp()
