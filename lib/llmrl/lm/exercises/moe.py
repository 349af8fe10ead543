"""Exercises on mixtures of experts: who is asked, and how the load is kept even.

The checkers probe what goes unnoticed in training: weights that do not sum to one, a count where a probability belongs,
a loss without a gradient. Left out: capacity and dispatch.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _best(logits, k, dim=-1):
    best = logits.softmax(dim).topk(k, -1)
    return best.values, best.indices


def _shared(weights, chosen):
    return weights / weights.sum(-1, keepdim=True), chosen


def _by_name(logits, k):
    chosen = logits.topk(k, -1).indices.sort(-1).values
    return _shared(logits.softmax(-1).gather(-1, chosen), chosen)


@exercise(
    "lm.route",
    title="Top-k routing",
    signature="route(logits: (N, E), k) -> (weights: (N, k), chosen: (N, k)), the best expert first",
    solution="llmrl.lm.moe.route",
    minutes=8,
    difficulty=1,
    hints=(
        "Softmax over the experts, then topk(k, dim=-1), which returns values and indices, the largest first.",
        "The k values that are left sum to less than one: divide each row by its sum, with keepdim=True.",
    ),
    wrong=(
        Wrong("the weights of the chosen experts have to sum to one; divide by their sum", _best),
        Wrong(
            "the softmax ran over the tokens; each token has its own, over the experts",
            lambda z, k: _shared(*_best(z, k, 0)),
        ),
        Wrong(
            "each expert chose its best tokens here; it is the tokens that choose experts",
            lambda z, k: _shared(*(x.T for x in z.softmax(-1).topk(k, 0))),
        ),
        Wrong(
            "scores may be negative and are no shares; take the softmax first",
            lambda z, k: _shared(z.topk(k, -1).values, z.topk(k, -1).indices),
        ),
        Wrong("the worst experts were asked", lambda z, k: _shared(*z.softmax(-1).topk(k, -1, largest=False))),
        Wrong(
            "all chosen experts weigh the same; the router's probabilities say how much each one counts",
            lambda z, k: (torch.full((len(z), k), 1 / k), z.topk(k, -1).indices),
        ),
        Wrong("experts come in the order of their weights, not of their numbers", _by_name),
        Wrong(
            "weights for all experts were returned; only those of the k chosen are wanted, in the order of chosen",
            lambda z, k: (torch.zeros_like(z).scatter(1, *_shared(*_best(z, k))[::-1]), z.topk(k, -1).indices),
        ),
        Wrong(
            "there was a second softmax over the chosen probabilities, which evens them out; divide by the sum instead",
            lambda z, k: (_best(z, k)[0].softmax(-1), _best(z, k)[1]),
        ),
    ),
)
def route(answer, solution):
    logits = torch.tensor([[2.0, 1.0, 0.5, -1.0], [0.0, -2.0, 3.0, 1.0], [-1.0, -3.0, -2.5, -0.5]])
    yield differs(answer(logits, 2), solution(logits, 2), "on three tokens and four experts, two of them asked")
    yield differs(answer(logits, 4), solution(logits, 4), "with all four experts asked")
    yield differs(answer(logits[:1], 1), solution(logits[:1], 1), "on one token that asks one expert")


def _load(logits, k, dim=-1):
    """f and P"""
    probs = logits.softmax(dim)
    return probs.topk(k, -1).indices.flatten().bincount(minlength=logits.shape[-1]) / (k * len(logits)), probs.mean(0)


def _product(f, p):
    return len(f) * (f * p).sum()


def _of_chosen(logits, k):
    best = logits.softmax(-1).topk(k, -1)
    p = torch.zeros_like(logits).scatter(1, best.indices, best.values).mean(0)
    return _product(_load(logits, k)[0], p)


@exercise(
    "lm.load_balance",
    title="The load-balancing loss",
    signature="load_balance(logits: (N, E), k) -> () = E * sum of f_i * P_i, where f sums to 1 and P has the gradient",
    solution="llmrl.lm.balance.load_balance",
    minutes=15,
    difficulty=2,
    hints=(
        "P is the mean of the softmax over tokens. f counts how often an expert is among the k best, divided by N k.",
        "chosen.flatten().bincount(minlength=E) counts; divide by the number of choices, and the shares sum to one.",
    ),
    wrong=(
        Wrong("the number of experts is missing in front, without which balance is not 1", lambda z, k: _of(z, k, 1)),
        Wrong(
            "f is a count of choices; here the mean probability was multiplied with itself",
            lambda z, k: _product(_load(z, k)[1], _load(z, k)[1]),
        ),
        Wrong(
            "P is the mean probability; here the counts were multiplied with themselves, and counts have no gradient",
            lambda z, k: _product(_load(z, k)[0], _load(z, k)[0]),
        ),
        Wrong("only first choices were counted; each token makes k of them", lambda z, k: _of(z, k, counted=1)),
        Wrong(
            "f sums to k here; N tokens make N k choices, so divide by all of them",
            lambda z, k: _of(z, k, k * z.shape[-1]),
        ),
        Wrong("P takes in every probability, not only those of the chosen experts", _of_chosen),
        Wrong("the sum over the experts was a mean", lambda z, k: _of(z, k, 1) / z.shape[-1]),
        Wrong(
            "P is the mean of probabilities, not of scores; take the softmax first",
            lambda z, k: _product(_load(z, k)[0], z.mean(0)),
        ),
        Wrong(
            "the softmax ran over the tokens; each token has its own, over the experts",
            lambda z, k: _product(*_load(z, k, 0)),
        ),
        Wrong(
            "the probabilities were detached; the router learns from this loss through P alone",
            lambda z, k: _of(z.detach(), k),
        ),
    ),
)
def load_balance(answer, solution):
    sure = torch.tensor([[9.0, 0.0, 1.0], [9.0, 1.0, 0.0], [8.0, 2.0, 0.0], [0.0, 2.0, 3.0], [0.5, 2.0, 1.0]])
    yield differs(answer(sure, 2), solution(sure, 2), "on five tokens and three experts, two of them asked")
    even = torch.eye(4)
    yield differs(answer(even, 1), solution(even, 1), "on four tokens that prefer four different experts")
    learning = sure.clone().requires_grad_()
    if not answer(learning, 2).requires_grad:
        yield "on router scores that are being trained, the loss has no gradient"


def _of(logits, k, factor=None, counted=None):
    f, p = _load(logits, counted or k)[0], _load(logits, k)[1]
    return (factor or len(f)) * (f * p).sum()
