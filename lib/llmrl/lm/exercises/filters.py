"""Exercises on removing tokens before one is drawn.

Each checker probes the case somebody gets wrong: a second row, a tie, the token that crosses p, the order of the mask.
Left out: min-p, which is one comparison.
"""

import torch
from torch.nn.functional import pad

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _cut(logits, gone):
    return logits.masked_fill(gone, -torch.inf)


@exercise(
    "lm.top_k_filter",
    title="Top-k for a batch",
    signature="top_k_filter(logits: (..., V), k) -> (..., V), -inf on what is removed",
    solution="llmrl.lm.decoding.top_k_filter",
    minutes=8,
    difficulty=1,
    hints=(
        "The k-th best score of each row is the threshold: logits.topk(k, dim=-1).values[..., -1:].",
        "masked_fill(logits < threshold, -torch.inf) keeps what ties with it; k may exceed V: take min(k, V).",
    ),
    wrong=(
        Wrong(
            "the k best of the whole batch were kept; every row has a threshold of its own",
            lambda z, k: _cut(z, z < z.flatten().topk(min(k, z.numel())).values[-1]),
        ),
        Wrong(
            "the k-th best was removed, too; remove what is below it",
            lambda z, k: _cut(z, z <= z.topk(min(k, z.shape[-1]), -1).values[..., -1:]),
        ),
        Wrong(
            "a score of 0 is not impossible; only minus infinity gives probability 0",
            lambda z, k: z.masked_fill(z < z.topk(min(k, z.shape[-1]), -1).values[..., -1:], 0.0),
        ),
        Wrong(
            "the k worst were kept",
            lambda z, k: _cut(z, z > -(-z).topk(min(k, z.shape[-1]), -1).values[..., -1:]),
        ),
        Wrong(
            "these are probabilities; the scores that are kept stay as they are",
            lambda z, k: _cut(z, z < z.topk(min(k, z.shape[-1]), -1).values[..., -1:]).softmax(-1),
        ),
        Wrong(
            "only the k scores came back; each has to stay at its token's place",
            lambda z, k: z.topk(min(k, z.shape[-1]), -1).values,
        ),
        Wrong(
            "the first row's threshold was used for all",
            lambda z, k: _cut(z, z < z.topk(min(k, z.shape[-1]), -1).values[:1, -1:]),
        ),
    ),
)
def top_k_filter(answer, solution):
    logits = torch.tensor([[1.0, 3.0, 2.0, -1.0], [6.0, 5.0, 0.5, 7.0], [1.0, 1.0, -2.0, 1.0]])
    for k in (2, 1, 3):
        yield differs(answer(logits, k), solution(logits, k), f"with k = {k}")
    yield differs(answer(logits, 9), solution(logits, 9), "with k = 9, more than there are tokens")


def _before(z, descending=True):
    """In sorted order, the probability of those that come before each; and the way back to the tokens' places."""
    best, order = z.softmax(-1).sort(dim=-1, descending=descending, stable=True)
    return best, pad(best.cumsum(-1)[..., :-1], (1, 0)), order.argsort(-1)


def _crossed(z, p):
    best, before, back = _before(z)
    return _cut(z, (before + best > p).gather(-1, back))


def _right(z, p):
    _, before, back = _before(z)
    return _cut(z, (before >= p).gather(-1, back))


def _unsorted(z, p):
    return _cut(z, _before(z)[1] >= p)


def _smallest_first(z, p):
    _, before, back = _before(z, descending=False)
    return _cut(z, (before >= p).gather(-1, back))


@exercise(
    "lm.top_p_filter",
    title="Top-p: the smallest set that reaches p",
    signature="top_p_filter(logits: (..., V), p) -> (..., V), -inf on what is removed",
    solution="llmrl.lm.decoding.top_p_filter",
    minutes=15,
    difficulty=3,
    hints=(
        "Sort the probabilities, best first, and sum up: a token goes when those before it already reach p.",
        "The mask is in sorted order; mask.gather(-1, order.argsort(-1)) brings it back to the tokens' own places.",
    ),
    wrong=(
        Wrong("the token that crosses p was removed; without it the set does not reach p", _crossed),
        Wrong("the mask stayed in sorted order; bring it back to the tokens' places", _unsorted),
        Wrong("the sum began with the least probable token; begin with the best", _smallest_first),
        Wrong(
            "each probability was compared with p; it is their sum that has to reach it",
            lambda z, p: _cut(z, z.softmax(-1) < p),
        ),
        Wrong(
            "that is min-p, which compares with the best token; top-p sums up",
            lambda z, p: _cut(z, z.softmax(-1) < p * z.softmax(-1).amax(-1, keepdim=True)),
        ),
        Wrong(
            "these are probabilities; the scores that are kept stay as they are",
            lambda z, p: _right(z, p).softmax(-1),
        ),
        Wrong(
            "a score of 0 is not impossible; only minus infinity gives probability 0",
            lambda z, p: z.masked_fill(_right(z, p) == -torch.inf, 0.0),
        ),
        Wrong(
            "every row got the first one's set",
            lambda z, p: _cut(z, (_right(z, p) == -torch.inf).reshape(-1, z.shape[-1])[:1].expand_as(z)),
        ),
    ),
)
def top_p_filter(answer, solution):
    logits = torch.tensor([[0.15, 0.5, 0.05, 0.3], [0.04, 0.16, 0.7, 0.1]]).log()
    for p in (0.6, 0.9, 0.3, 0.955):  # no sum of theirs hits one exactly: there rounding would decide
        yield differs(answer(logits, p), solution(logits, p), f"on two rows with p = {p}")
    yield differs(answer(logits, 1.0), solution(logits, 1.0), "with p = 1, which removes nothing")
