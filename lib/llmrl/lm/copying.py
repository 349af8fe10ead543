"""The copy task: read some symbols and a mark, then say them again in the same order.

It asks for nothing but memory, so it shows how much of the past a model can still reach. With n symbols a sequence has
2n+1 tokens, the first n of them random: $s_1..s_n\\,|\\,s_1..s_n$. Only the second half is learned and scored.
Left out: a pause between reading and speaking, which makes it harder for a recurrent network still.

Shapes: B sequences, T = 2n+1 positions.
"""

import torch

SYMBOLS, MARK = 8, 8  # ids 0..7 and the mark
VOCAB = SYMBOLS + 1


def copies(batch, n, generator):
    """Sequences to copy and the mask of their second halves.  -> ids, mask (B, 2n+1)"""
    said = torch.randint(SYMBOLS, (batch, n), generator=generator)
    ids = torch.cat([said, torch.full((batch, 1), MARK), said], 1)
    mask = torch.zeros_like(ids, dtype=torch.bool)
    mask[:, n + 1 :] = True
    return ids, mask


@torch.no_grad()
def copied(model, n, generator, batch=256):
    """The share of symbols a model says right, each after the true ones before it; by chance it is 1/8."""
    ids, mask = copies(batch, n, generator)
    best = model(ids)[:, :-1].argmax(-1)
    return (best == ids[:, 1:])[mask[:, 1:]].float().mean().item()
