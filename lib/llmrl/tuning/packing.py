r"""Packing: several texts in one row, so that less of a batch is padding.

A batch of texts of different lengths is as wide as its longest, and a model computes all of it. Best-fit decreasing
takes the longest text first and puts each into the fullest row that still has room. A row of several texts computes
what its texts alone would, if attention stays within a text and positions start anew with each (segments say both to
the model), and if nobody learns to predict the first token of a text from the last one of its neighbour (labels).
Wrapping, the older way, glues all texts together and cuts where a row ends: no padding, but texts in pieces.
Left out: the search for the very fewest rows, which is NP-hard; packing while data streams in.

Shapes: R rows, T positions.
"""

import bisect
from typing import NamedTuple

import torch

from llmrl.lm import batch
from llmrl.lm.training import pad
from llmrl.tuning.labels import labels as labelled
from llmrl.tuning.labels import shifted_loss


class Packed(NamedTuple):
    """Texts in rows, each (R, T)."""

    ids: torch.Tensor
    positions: torch.Tensor  # from 0 in every text
    segments: torch.Tensor  # 1, 2, 3 in a row; 0 on padding
    labels: torch.Tensor  # the ids, -100 where nothing is to be learned


def best_fit(lengths, room):
    """Best-fit decreasing: longest first, each into the fullest row that has room for it.  -> indices, row by row"""
    if lengths and not 0 < min(lengths) <= max(lengths) <= room:
        raise ValueError(f"lengths must be from 1 to the room of {room}, got {min(lengths)} to {max(lengths)}")
    rows, free = [], []  # free: (room left, row), sorted
    for i in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        at = bisect.bisect_left(free, (lengths[i], 0))
        left, row = free.pop(at) if at < len(free) else (room, len(rows))
        if row == len(rows):
            rows.append([])
        rows[row].append(i)
        bisect.insort(free, (left - lengths[i], row))
    return rows


def pack(samples, length, masks=None):
    """Best-fit decreasing of lists of token ids into rows of one length; masks say what of each is to be learned."""
    texts = checked(samples, length, masks)
    rows = best_fit([len(ids) for ids in samples], length)
    return lay([[texts[i] for i in row] for row in rows], length)


def wrap(samples, length, masks=None):
    """All texts one after the other, cut wherever a row is full; every piece is a segment of its own."""
    rows, left = [], 0
    for ids, mask in checked(samples, length, masks, cut=True):
        while ids:
            if not left:
                rows, left = [*rows, []], length
            rows[-1].append((ids[:left], mask[:left]))
            ids, mask, left = ids[left:], mask[left:], max(0, left - len(ids))
    return lay(rows, length)


def lay(rows, length):
    """Rows of (ids, mask) pieces as tensors, filled up with padding."""
    ids = fill([[i for text, _ in row for i in text] for row in rows], length)
    segments = fill([[n for n, (text, _) in enumerate(row, 1) for _ in text] for row in rows], length)
    learned = fill([[m for _, mask in row for m in (False, *mask[1:])] for row in rows], length).bool()
    return Packed(ids, batch.restart(segments), segments, labelled(ids, learned))


def fill(rows, length):
    """Lists of numbers as a tensor of that width, zeros behind.  -> (R, length)"""
    return pad([*rows, [0] * length])[:-1]


def packed_loss(model, ids, segments, labels):
    r"""The mean of $-\log\pi(y_t\mid y_{<t})$ over all labelled tokens, each text read by itself.  all (R, T)"""
    return shifted_loss(model(ids, segments=segments), labels)


def by_text(values, segments):
    """Values per token, one tensor per text, in the order of rows and of texts within a row.  both (R, T)"""
    return [row[numbers == n] for row, numbers in zip(values, segments) for n in numbers[numbers > 0].unique()]


def row_batches(packed, rows, generator_for):
    """Random rows of a packing: batch(step) -> ids, segments and labels (rows, T), for packed_loss."""

    def at(step):
        chosen = torch.randint(len(packed.ids), (rows,), generator=generator_for(step))
        return packed.ids[chosen], packed.segments[chosen], packed.labels[chosen]

    return at


def padded_positions(lengths, at_once):
    """How many positions batches of so many texts compute, taken in this order, each as wide as its longest."""
    batches = [lengths[i : i + at_once] for i in range(0, len(lengths), at_once)]
    return sum(len(b) * max(b) for b in batches)


def checked(samples, length, masks, cut=False):
    """Samples and masks as pairs, once each can be packed; without masks everything is to be learned."""
    if isinstance(length, bool) or not isinstance(length, int) or length < 1:
        raise ValueError(f"length must be a whole number of at least 1, got {length!r}: the model's context is usual")
    masks = [[True] * len(ids) for ids in samples] if masks is None else masks
    if not samples or len(samples) != len(masks):
        raise ValueError(f"samples must be one or more, each with a mask, got {len(samples)} and {len(masks)} masks")
    for i, (ids, mask) in enumerate(zip(samples, masks)):
        if len(ids) == 0 or len(ids) != len(mask) or (len(ids) > 1 and not any(mask[1:])):
            raise ValueError(
                f"sample {i} must have a mask as long as its ids that marks a token with another before it, got "
                f"{len(ids)} ids and a mask of {len(mask)} that marks {sum(mask)}: leave it out"
            )
        if len(ids) > length and not cut:
            raise ValueError(
                f"sample {i} has {len(ids)} tokens and does not fit in a row of {length}: cut it, leave it out, or "
                f"take longer rows"
            )
    return list(zip(samples, masks))
