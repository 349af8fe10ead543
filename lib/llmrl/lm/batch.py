"""What a batch of ids means to a model: where each token stands, whom it may look at, whether it can be read at all.

Texts of different lengths share a batch by padding. To the right it does no harm, for nobody looks ahead; to the left
it has to be hidden by a mask, and positions are counted from the first real token. Or several texts share a row: then
segments number them, 1, 2, 3, with 0 for padding, everyone looks back within its own text, and every text's positions
start at 0. Left out: a cache for rows of several texts.

Shapes: B sequences, T positions.
"""

import torch
import torch.nn.functional as F


def blocks(segments):
    """Who may look at whom where texts share a row: back to the beginning of one's own.  (B, T) -> (B, T, T)"""
    return (segments[:, :, None] == segments[:, None, :]).tril()


def restart(segments):
    """Where every token stands in its own text.  (B, T) -> (B, T)"""
    index = torch.arange(segments.shape[1], device=segments.device)
    begins = segments.diff(dim=1, prepend=segments[:, :1] - 1) != 0
    return index - torch.where(begins, index, 0).cummax(dim=1).values


def positions(ids, mask, past):
    """The positions of ids: a text counts from its first token, wherever it stands in a row.  (T,) or (B, 1, T)"""
    if mask is None:
        return torch.arange(past, past + ids.shape[1], device=ids.device)
    if mask.dtype == torch.long:  # segments in the place of a mask
        return restart(mask)[:, None]
    return (mask.cumsum(1) - 1).clamp(min=0)[:, None, past:]


def look_back(ids, mask, past):
    """Who may look at whom, bool (.., T, past + T); None where that is plainly causal, or all for one last token."""
    T = ids.shape[1]
    if mask is not None and mask.dtype == torch.long:  # segments in the place of a mask
        return blocks(mask)[:, None]  # (B, 1, T, T)
    if mask is None and (past == 0 or T == 1):
        return None
    causal = torch.ones(T, past + T, dtype=torch.bool, device=ids.device).tril(past)
    if mask is None:
        return causal
    itself = causal & ~causal.tril(past - 1)  # padding has only itself to look at: a softmax over nothing is nan
    return (causal & mask[:, None, None, :]) | itself  # (B, 1, T, past + T)


def check_ids(ids):
    """ids are whole numbers in rows."""
    if not torch.is_tensor(ids) or ids.dtype != torch.long or ids.dim() != 2 or 0 in ids.shape:
        got = f"{ids.dtype} of shape {tuple(ids.shape)}" if torch.is_tensor(ids) else type(ids).__name__
        raise TypeError(
            f"ids must be a torch.long tensor of shape (B, T) with at least one token, got {got}: "
            f"torch.tensor([tokenizer.encode(text)]) is a batch of one"
        )


def check_range(ids, vocab):
    """ids name rows of a vocabulary."""
    lowest, highest = (int(end) for end in ids.aminmax())
    if lowest < 0 or highest >= vocab:
        raise ValueError(
            f"ids must be in [0, {vocab}), got {lowest if lowest < 0 else highest}: encode the text with the tokenizer "
            f"this model was trained with, and hide what is not to be learned by a mask, not by ids such as -100"
        )


def remembered(cache):
    """How many positions a cache holds."""
    return cache[0].length if cache else 0


def check_segments(ids, mask, cache, segments):
    """Segments are whole numbers beside ids; every text is one run, and a later one has a higher number."""
    if cache or mask is not None:
        raise ValueError(
            f"segments must come alone, got {'a cache' if cache else 'a mask'} beside them: number padding 0, and "
            f"continue texts one per row"
        )
    if not torch.is_tensor(segments) or segments.dtype != torch.long or segments.shape != ids.shape:
        got = f"{segments.dtype} of shape {tuple(segments.shape)}" if torch.is_tensor(segments) else repr(segments)[:60]
        raise ValueError(
            f"segments must be torch.long of shape {tuple(ids.shape)} like ids, got {got}: number the texts of a row "
            f"1, 2, 3 and padding 0, as llmrl.tuning.packing.pack does"
        )
    before = F.pad(segments, (1, 0))[:, :-1]
    wrong = (segments < 0) | ((segments > 0) & (segments != before) & (segments <= before.cummax(dim=1).values))
    if wrong.any():
        row, at = wrong.nonzero()[0].tolist()
        raise ValueError(
            f"segments must count up, each text in one run, got {segments[row, at].item()} at position {at} of row "
            f"{row}: number the texts of a row 1, 2, 3 in their order, and padding 0"
        )


def check(ids, mask, cache, config, segments=None):
    """Say what is wrong with a batch before an index error far inside does.  -> mask, or the segments in its place"""
    check_ids(ids)
    check_range(ids, config.vocab)
    shape = (ids.shape[0], remembered(cache) + ids.shape[1])
    if shape[1] > config.context:
        raise ValueError(
            f"a text of {shape[1]} tokens does not fit in a context of {config.context}: "
            f"cut it, or build the model with Config(context=...)"
        )
    if mask is not None and (mask.dtype != torch.bool or mask.shape != shape):
        raise ValueError(
            f"mask must be bool of shape {shape}, got {mask.dtype} of shape {tuple(mask.shape)}: "
            f"True on tokens, False on padding to the left"
        )
    if segments is None:
        return mask
    check_segments(ids, mask, cache, segments)
    return segments
