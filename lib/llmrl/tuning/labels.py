r"""Labels: which tokens a model is to learn, in the form that other libraries use, and the loss over them.

A label is the token's own id where it is to be learned and IGNORE where it is not. Labels lie over the ids, position by
position; the shift happens in the loss, because the scores at position t are a guess at the token of position t+1. So
the label of the very first token is never used. Left out: label smoothing, weights between 0 and 1.

Shapes: B sequences, T positions, V vocabulary.
"""

import torch

from llmrl.lm.logprobs import masked_mean, token_logp

IGNORE = -100  # the label of a token that is not to be learned; torch's cross_entropy skips it


def labels(ids, mask):
    """The ids where the mask is True, IGNORE elsewhere.  ids, mask (B, T) -> (B, T)"""
    if mask.dtype != torch.bool or mask.shape != ids.shape:
        raise ValueError(
            f"mask must be bool of shape {tuple(ids.shape)} like ids, got {mask.dtype} of shape {tuple(mask.shape)}: "
            f"True on every token of an answer, compare to make it bool"
        )
    return ids.where(mask, IGNORE)


def shifted_loss(logits, labels):
    r"""$-\frac{1}{|M|}\sum_{t\in M}\log\pi(y_t\mid y_{<t})$, M the labelled positions after the first.

    logits (B, T, V), labels (B, T) -> a number; every labelled token weighs the same
    """
    learned = labels != IGNORE
    if not learned[:, 1:].any():
        raise ValueError(
            f"labels of shape {tuple(labels.shape)} mark no token with another before it, so there is nothing to "
            f"learn: look at the answer mask, perhaps every answer was cut off"
        )
    logp = token_logp(logits, labels.where(learned, 0))  # (B, T-1); what stands at ignored places is not read
    return -masked_mean(logp, learned[:, 1:])


def answer_mask(ids, header, stop):
    """Which tokens belong to answers, found in the ids alone: all behind an answer's header, up to and with its stop.

    ids: a list; header: the ids that open an answer; stop: the id that ends a message -> a list of bool
    """
    if not header:
        raise ValueError("header must be the ids that open an answer, got none: encode('<|im_start|>assistant\\n')")
    mask, answering = [], False
    for at, i in enumerate(ids):
        answering = answering or ids[max(0, at - len(header)) : at] == header
        mask.append(answering)
        answering = answering and i != stop
    return mask
