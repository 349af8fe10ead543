"""What a batch of ids means to a model: where each token stands, whom it may look at, whether it can be read at all.

Texts of different lengths share a batch by padding. To the right it does no harm, for nobody looks ahead; to the left
it has to be hidden by a mask, and positions are counted from the first real token. Left out: several texts in one row.

Shapes: B sequences, T positions.
"""

import torch


def positions(ids, mask, past):
    """The positions of ids: a row counts from its first token, wherever padding puts it.  (T,) or (B, 1, T)"""
    if mask is None:
        return torch.arange(past, past + ids.shape[1], device=ids.device)
    return (mask.cumsum(1) - 1).clamp(min=0)[:, None, past:]


def look_back(ids, mask, past):
    """Who may look at whom, bool (.., T, past + T); None where that is plainly causal, or all for one last token."""
    T = ids.shape[1]
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


def check(ids, mask, past, config):
    """Say what is wrong with a batch before an index error far inside does."""
    check_ids(ids)
    check_range(ids, config.vocab)
    shape = (ids.shape[0], past + ids.shape[1])
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
