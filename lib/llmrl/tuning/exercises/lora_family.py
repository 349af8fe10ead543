"""Exercises on LoRA's relatives: the largest part of a matrix, one budget for all layers.

Each checker probes what people get wrong: where the singular values go, a budget per layer.
Left out: DoRA, which the lesson works by hand, and AdaLoRA's running means.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _split(weight, rank, scale, left=0.5, first=True):
    """The singular values to the power left in B and 1 - left in A, of the first or the last directions."""
    U, S, V = torch.linalg.svd(weight, full_matrices=False)
    keep = slice(rank) if first else slice(len(S) - rank, None)
    S = S[keep] / scale
    return S[:, None] ** (1 - left) * V[keep], U[:, keep] * S**left


def _principal(weight, rank, scale, rest=lambda W, s, B, A: W - s * B @ A, **how):
    A, B = _split(weight, rank, scale, **how)
    return A, B, rest(weight, scale, B, A)


def _without_scale(W, r, s):
    A, B = _split(W, r, 1.0)
    return A, B, W - s * B @ A


def _unrooted(W, r, s):
    U, S, V = torch.linalg.svd(W, full_matrices=False)
    A, B = S[:r, None] / s * V[:r], U[:, :r] * S[:r] / s
    return A, B, W - s * B @ A


def _bare(W, r, s):
    U, _, V = torch.linalg.svd(W, full_matrices=False)
    return V[:r], U[:, :r], W - s * U[:, :r] @ V[:r]


@exercise(
    "tuning.principal",
    title="PiSSA's beginning",
    signature="principal(weight: (O, N), rank, scale) -> A: (r, N), B: (O, r), rest: (O, N)",
    solution="llmrl.tuning.pissa.principal",
    minutes=12,
    difficulty=2,
    hints=(
        "U, S, V = torch.linalg.svd(weight, full_matrices=False): U's columns and V's rows, largest first.",
        "scale * B @ A has to be the first r directions with their values: give each of A and B sqrt(S[:r] / scale).",
    ),
    wrong=(
        Wrong("the scale was left out of A and B, so scale * B @ A is not the best approximation", _without_scale),
        Wrong("the singular values came in twice; each of the two thin matrices gets their square root", _unrooted),
        Wrong("the singular values are missing, and every direction counts alike", _bare),
        Wrong("the smallest directions were taken; the first ones are the largest",
              lambda W, r, s: _principal(W, r, s, first=False)),
        Wrong("A holds all of the singular values; PiSSA shares them evenly, a square root each",
              lambda W, r, s: _principal(W, r, s, left=0.0)),
        Wrong("B holds all of the singular values; PiSSA shares them evenly, a square root each",
              lambda W, r, s: _principal(W, r, s, left=1.0)),
        Wrong("the rest is still the whole matrix: with the adapter beside it the largest part would count twice",
              lambda W, r, s: _principal(W, r, s, rest=lambda W, s, B, A: W)),
        Wrong("the rest forgot the scale: what runs beside it is scale * B @ A",
              lambda W, r, s: _principal(W, r, s, rest=lambda W, s, B, A: W - B @ A)),
        Wrong("B came first; the order is A, B, rest", lambda W, r, s: [_principal(W, r, s)[i] for i in (1, 0, 2)]),
    ),
)  # fmt: skip
def principal(answer, solution):
    diagonal = torch.diag(torch.tensor([2.0, 5.0, 1.0]))
    weight = torch.tensor([[1.0, 2.0, 0.0, -1.0], [3.0, -1.0, 2.0, 0.5], [0.0, 1.0, -2.0, 4.0]])
    cases = {"for a diagonal of (2, 5, 1) at rank 1 and scale 2": (diagonal, 1, 2.0),
             "for a matrix (3, 4) at rank 2 and scale 3": (weight, 2, 3.0),
             "for a matrix (4, 3) at rank 1 and scale 0.5": (weight.T, 1, 0.5)}  # fmt: skip
    for case, given in cases.items():
        want = solution(*given)
        yield differs(_turned(answer(*given), want), want, case)


def _turned(got, want):
    """The same with signs as in want: a pair of singular vectors may point either way."""
    fits = isinstance(got, (list, tuple)) and [getattr(x, "shape", None) for x in got] == [x.shape for x in want]
    if not fits:
        return got
    signs = torch.where((got[0] * want[0]).sum(1) < 0, -1.0, 1.0)
    return got[0] * signs[:, None], got[1] * signs, got[2]


def _from_threshold(scores, budget):
    threshold = torch.cat(scores).sort(descending=True).values[budget - 1]
    return [s >= threshold for s in scores]


def _per_layer(scores, share):
    kept = [torch.zeros_like(s, dtype=torch.bool) for s in scores]
    for k, s in zip(kept, scores):
        k[s.argsort(descending=True, stable=True)[:share]] = True
    return kept


def _best(scores, budget, key=lambda s: s, how=lambda s: s):
    flat = torch.cat([key(s) for s in scores])
    kept = torch.zeros_like(flat, dtype=torch.bool)
    kept[how(flat.argsort(descending=True, stable=True))[:budget]] = True
    return list(kept.split([len(s) for s in scores]))


@exercise(
    "tuning.keep_best",
    title="One budget for all layers",
    signature="keep_best(scores: list of (r,), budget) -> list of bool (r,)",
    solution="llmrl.tuning.adalora.keep_best",
    minutes=10,
    difficulty=2,
    hints=(
        "torch.cat puts all scores in one row, of which the budget's best stay; split cuts the answer up again.",
        "Sort positions by argsort(descending=True, stable=True): of two equal scores the first comes first.",
    ),
    wrong=(
        Wrong("every layer kept as many; the budget is for all of them together, and that is the point",
              lambda s, budget: _per_layer(s, budget // len(s))),
        Wrong("every layer kept a whole budget for itself", _per_layer),
        Wrong("the smallest were kept", lambda s, budget: _best(s, budget, how=lambda order: order.flip(0))),
        Wrong("the mask is the wrong way round: True marks what stays",
              lambda s, budget: [~k for k in _best(s, budget)]),
        Wrong("of equal scores all stayed, more than the budget allows", _from_threshold),
        Wrong("scores were divided by their layer's sum first, which makes layers alike that are not",
              lambda s, budget: _best(s, budget, key=lambda x: x / x.sum())),
        Wrong("one too few", lambda s, budget: _best(s, budget - 1)),
        Wrong("numbers were returned, not True and False",
              lambda s, budget: [k.float() for k in _best(s, budget)]),
    ),
)  # fmt: skip
def keep_best(answer, solution):
    two = [torch.tensor([0.1, 0.5]), torch.tensor([4.0, 3.0, 1.0])]
    yield differs(answer(two, 3), solution(two, 3), "for scores (0.1, 0.5) and (4, 3, 1) and a budget of 3")
    uneven = [torch.tensor([1.0, 9.0]), torch.tensor([5.0, 4.0]), torch.tensor([0.5, 0.4])]
    yield differs(answer(uneven, 3), solution(uneven, 3), "for three layers and a budget of 3")
    equal = [torch.tensor([2.0, 1.0]), torch.tensor([2.0, 2.0])]
    yield differs(answer(equal, 2), solution(equal, 2), "with three scores alike and a budget of 2")
