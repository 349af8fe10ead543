r"""Keeping experts equally busy: the loss, the bias and the number of places.

An expert that is chosen more often learns more and is then chosen more often; without a counterweight a router may end
up with few experts. The loss $E\sum_i f_iP_i$ (Switch: Fedus et al. 2021, arXiv 2101.03961) multiplies the share f of
choices an expert got with the mean probability P it was given. f is a count and has no gradient: what the loss does is
lower the probability of whoever is busy. The bias (Wang et al. 2024, arXiv 2408.15664) does that without a gradient: it
raises the chances of an idle expert by a small step, at choosing only. Where an expert has a fixed number of places, a
choice beyond it is dropped. Left out: the z-loss that keeps router scores small, experts that choose their tokens.

Shapes: N tokens, E experts.
"""

import math

import torch
import torch.nn.functional as F


def check_k(k, experts):
    """A token visits between one and all experts."""
    if isinstance(k, bool) or not isinstance(k, int) or not 1 <= k <= experts:
        raise ValueError(
            f"k must be a whole number from 1 to the number of experts, {experts}, got {k!r}: 2 of 8 is common"
        )


def check_logits(logits, k):
    """Router scores are numbers, one per expert."""
    if not torch.is_tensor(logits) or not logits.is_floating_point() or logits.dim() < 2:
        got = f"{logits.dtype} of shape {tuple(logits.shape)}" if torch.is_tensor(logits) else type(logits).__name__
        raise TypeError(f"logits must be a tensor of floats of shape (N, E), one row per token, got {got}")
    check_k(k, logits.shape[-1])
    if logits.isnan().any():
        raise ValueError("logits must be numbers, got nan: nobody is the best of them, look at what the router read")


def shares(chosen, experts, mask=None):
    """f: which share of all choices each expert got; sums to one.  chosen (.., k), mask (..) bool -> (E,)"""
    chosen = chosen.flatten(0, -2) if mask is None else chosen[marked(mask, chosen.shape[:-1])]
    return chosen.flatten().bincount(minlength=experts) / max(1, chosen.numel())


def effective(f):
    r"""$e^{-\sum_i f_i\ln f_i}$, the effective number of experts: E when all are equally busy.  (.., E) -> (..)"""
    return torch.special.entr(f).sum(-1).exp()


def marked(mask, shape):
    """The mask, if it is bool, of that shape, and marks a token at all."""
    if mask.dtype != torch.bool or mask.shape != shape:
        raise ValueError(
            f"mask must be bool of shape {tuple(shape)}, one entry per token, got {mask.dtype} of shape "
            f"{tuple(mask.shape)}: True on tokens, False on padding"
        )
    return mask


def load_balance(logits, k, mask=None):
    r"""$E\sum_i f_iP_i$: f the share of choices, P the mean probability; 1 if either is equal for all.

    logits (.., E), mask (..) bool, False on padding -> ()
    """
    check_logits(logits, k)
    logits = logits.flatten(0, -2) if mask is None else logits[marked(mask, logits.shape[:-1])]  # (N, E)
    if len(logits) == 0:
        raise ValueError("there must be at least one token that is not padding, got none: nobody's load is measured")
    probs, experts = logits.softmax(-1), logits.shape[-1]
    f = shares(probs.topk(k, dim=-1).indices, experts)
    return experts * (f * probs.mean(0)).sum()


def least(counts):
    r"""The least $E\sum_i f_iP_i$ that top-1 routing comes close to when expert i is chosen counts[i] times.

    A token's part is the mean of f under its probabilities, which must be largest on its own expert: cheapest is an
    even split among that expert and some of the idlest others.
    """
    f = sorted(count / sum(counts) for count in counts)
    cost = 0.0
    for i, own in enumerate(f):
        others = [own, *f[:i], *f[i + 1 :]]
        cost += own * min(sum(others[:j]) / j for j in range(1, len(f) + 1))
    return len(f) * cost


def steer(bias, f, rate):
    """The bias after a batch: a step up for experts with less than an equal share, down for more.  (E,) -> (E,)"""
    return bias + rate * (1 / len(f) - f).sign()


def places(tokens, routing):
    """How many tokens an expert takes: an equal share of all choices, times the capacity, rounded up."""
    if not isinstance(routing.capacity, (int, float)) or not routing.capacity > 0:
        raise ValueError(f"capacity must be a number above 0, got {routing.capacity!r}: 1.25 is common, inf drops none")
    share = routing.capacity * tokens * routing.k / routing.experts
    return share if share == math.inf else math.ceil(share)


def admitted(chosen, experts, room):
    """Who finds a place: all first choices queue in order, then all second ones.  chosen (N, k) -> (N, k) bool"""
    queue = chosen.T.flatten()  # (k N,)
    ahead = F.one_hot(queue, experts).cumsum(0).gather(1, queue[:, None])  # itself included
    return (ahead <= room).view(chosen.T.shape).T
