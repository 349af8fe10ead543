r"""The input layer: a token id is the number of a row, and the row is what the model knows of the token.

$e_t = E_{y_t} = \mathrm{onehot}(y_t)^\top E$: to look a row up is to multiply by a vector that is 1 at the id and 0
elsewhere, only without the multiplying. Backwards the same holds: a row collects the gradients of every place where its
token stands, and a token that does not occur learns nothing. Left out: positions, which enter with attention.

Shapes: B sequences, T positions, V vocabulary, D width.
"""

import torch

from llmrl.lm.batch import check_range


def _check(ids, vocab):
    if not torch.is_tensor(ids) or ids.dtype != torch.long or ids.numel() == 0:
        got = f"{ids.dtype} of shape {tuple(ids.shape)}" if torch.is_tensor(ids) else type(ids).__name__
        raise TypeError(
            f"ids must be a torch.long tensor with at least one token, got {got}: torch.tensor(tokenizer.encode(text))"
        )
    check_range(ids, vocab)


def look_up(ids, table):
    """The row of each id.  ids (..., ), table (V, D) -> (..., D)"""
    _check(ids, len(table))
    return table[ids]


def one_hot(ids, vocab):
    """1 at the id, 0 elsewhere.  ids (..., ) -> (..., V)"""
    _check(ids, vocab)
    return (ids[..., None] == torch.arange(vocab, device=ids.device)).float()


def table_gradient(ids, upstream, vocab):
    """What the table learns from the gradient of what was looked up.  ids (B, T), upstream (B, T, D) -> (V, D)"""
    _check(ids, vocab)
    if upstream.shape[:-1] != ids.shape:
        raise ValueError(
            f"upstream must be one row for each id, got shape {tuple(upstream.shape)} for ids of {tuple(ids.shape)}: "
            f"it is the gradient of look_up(ids, table)"
        )
    grad = upstream.new_zeros(vocab, upstream.shape[-1])
    return grad.index_add_(0, ids.flatten(), upstream.flatten(0, -2))
