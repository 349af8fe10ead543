r"""Gradient accumulation: one step from several micro-batches, and what each of them must weigh.

When a batch does not fit into memory its micro-batches go through the model one after the other, and their gradients
are added up. The loss of a batch is a mean over its N learned tokens. Micro-batch i holds n_i of them and yields their
mean m_i, so it has to weigh n_i/N. Averaging the means instead, 1/k each, is right only when all n_i are equal; else

$\frac{1}{k}\sum_i m_i-\frac{1}{N}\sum_i n_i m_i=-\frac{\mathrm{cov}(n,m)}{\bar n}$,

so that tokens of short micro-batches count for more. The same happens between machines that average their gradients.
Left out: what does not split into micro-batches at all, batch statistics and contrastive losses.

Shapes: k micro-batches, B sequences, T positions.
"""

import torch

from llmrl.lm.training import next_token_loss


def token_weights(counts):
    r"""$n_i/N$, what each micro-batch mean weighs in the mean over all tokens.  counts (k,) -> (k,)"""
    counts = torch.as_tensor(counts)
    if counts.dim() != 1 or counts.numel() == 0 or counts.is_complex() or (counts < 0).any() or counts.sum() <= 0:
        raise ValueError(
            f"counts must be one number of learned tokens per micro-batch, none below 0 and not all 0, got "
            f"{counts.tolist()}: count the labels of each micro-batch that are not ignored"
        )
    return counts / counts.sum()


def equal_weights(counts):
    """1/k for every micro-batch, which forgets how many tokens it holds.  counts (k,) -> (k,)"""
    return torch.ones(len(counts)) / len(counts)


def rank_scales(counts):
    r"""What each of k ranks multiplies its mean by, when gradients are averaged over ranks after: $k\,n_i/N$.  (k,)"""
    return len(counts) * token_weights(counts)


def gap(counts, means):
    r"""$-\mathrm{cov}(n,m)/\bar n$: how far the mean of means is above the mean over tokens.  (k,), (k, ..) -> (..)"""
    counts, means = torch.as_tensor(counts).to(means.dtype), torch.as_tensor(means)
    together = torch.einsum("k,k...->k...", counts - counts.mean(), means - means.mean(0)).mean(0)
    return -together / counts.mean()


def split(ids, mask, rows):
    """A batch in micro-batches of so many sequences.  ids, mask (B, T)"""
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise ValueError(f"rows must be a whole number of at least 1, got {rows!r}: so many sequences go in at a time")
    return list(zip(ids.split(rows), mask.split(rows)))


def learned(batches):
    """How many tokens each micro-batch teaches: those marked by the mask that have another before them.  -> (k,)"""
    return torch.stack([mask[:, 1:].sum() for _, mask in batches])


def accumulate(model, batches, weights_of=token_weights, loss=next_token_loss):
    """Add the gradients of micro-batches (ids, mask) up in .grad, as if they had gone in at once; returns the loss."""
    if not batches:
        raise ValueError("there is no micro-batch to go through the model: split(ids, mask, rows) makes some")
    total = 0.0
    for weight, batch in zip(weights_of(learned(batches)), batches):
        value = weight * loss(model, *batch)
        value.backward()
        total += value.item()
    return total
