"""Exercises on the relatives of DPO that look at a reference, each on a handful of log-probabilities.

Each checker probes what the formulas found in the wild get wrong: a sigmoid in the place of a square, a logarithm
around a value that levels off, a reference point left out. Left out: training with them.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

PAIR = [torch.tensor(x) for x in ([-3.0, -8.0, -60.0], [-5.0, -6.0, -9.0], [-4.0, -9.0, -20.0], [-4.6, -7.5, -15.0])]


def _h(w, l, ref_w, ref_l):
    return w - l - ref_w + ref_l


@exercise(
    "preference.ipo",
    title="IPO: a margin to reach",
    signature="ipo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp: (B,), tau) -> (B,)",
    solution="llmrl.preference.losses.ipo",
    minutes=8,
    difficulty=1,
    hints=(
        "h is the chosen answer's log-ratio to the reference less the rejected one's. No beta stands before it.",
        "The margin asked for is 1 / (2 tau). The loss is the square of how far h is from it, on either side.",
    ),
    wrong=(
        Wrong(
            "this squares a sigmoid, which is least at a margin of 0: it asks for nothing",
            lambda *x: (0.5 - _h(*x[:4]).sigmoid()).square(),
        ),
        Wrong("the margin asked for is 1 / (2 tau), half of 1 / tau", lambda *x: (_h(*x[:4]) - 1 / x[4]).square()),
        Wrong("tau multiplies nothing: 1 / (2 tau) is the target", lambda *x: (_h(*x[:4]) - x[4] / 2).square()),
        Wrong(
            "tau was put before h as DPO's beta is; IPO leaves h as it is",
            lambda *x: (x[4] * _h(*x[:4]) - 1 / (2 * x[4])).square(),
        ),
        Wrong("the reference is missing", lambda w, l, rw, rl, tau: (w - l - 1 / (2 * tau)).square()),
        Wrong(
            "the two answers changed places, or their references did",
            lambda w, l, rw, rl, tau: (_h(l, w, rl, rw) - 1 / (2 * tau)).square(),
        ),
        Wrong(
            "a margin beyond the target costs as well: that is what holds IPO back",
            lambda *x: (1 / (2 * x[4]) - _h(*x[:4])).clamp(min=0).square(),
        ),
        Wrong("the square is missing", lambda *x: (_h(*x[:4]) - 1 / (2 * x[4])).abs()),
        Wrong(
            "one value per pair is asked for, not their mean", lambda *x: (_h(*x[:4]) - 1 / (2 * x[4])).square().mean()
        ),
    ),
)
def ipo(answer, solution):
    yield differs(answer(*PAIR, 0.25), solution(*PAIR, 0.25), "on three pairs with tau 0.25")
    yield differs(answer(*PAIR, 1.0), solution(*PAIR, 1.0), "on the same with tau 1")


@exercise(
    "preference.reference_point",
    title="KTO's reference point",
    signature="reference_point(logp: (B,), ref_logp: (B,)) -> a single number, without gradient",
    solution="llmrl.preference.losses.reference_point",
    minutes=6,
    difficulty=1,
    hints=(
        "The mean of log(policy / reference) estimates the KL. A KL is never negative; a mean of few samples can be.",
        "detach() cuts the gradient, clamp(min=0) the negative part. Take the mean first.",
    ),
    wrong=(
        Wrong("gradients flow through it; in KTO they do not: detach it", lambda p, q: (p - q).mean().clamp(min=0)),
        Wrong(
            "a few samples can have a negative mean, a KL cannot: cut off at 0",
            lambda p, q: (p - q).detach().mean(),
        ),
        Wrong(
            "every sample was cut off before the mean; the negative ones have to count",
            lambda p, q: (p - q).detach().clamp(min=0).mean(),
        ),
        Wrong("the mean is wanted, not the sum", lambda p, q: (p - q).detach().sum().clamp(min=0)),
        Wrong("one number for the whole batch is wanted", lambda p, q: (p - q).detach().clamp(min=0)),
        Wrong(
            "the absolute value turns a negative mean into a large KL; cut it off at 0",
            lambda p, q: (p - q).detach().mean().abs(),
        ),
        Wrong("the other way round: policy less reference", lambda p, q: (q - p).detach().mean().clamp(min=0)),
        Wrong(
            "a ratio of log-probabilities is no log-ratio: subtract them",
            lambda p, q: (p / q).detach().mean().clamp(min=0),
        ),
    ),
)
def reference_point(answer, solution):
    moved, ref = torch.tensor([-3.0, -9.0, -4.0]), torch.tensor([-5.0, -7.0, -8.0])
    yield differs(answer(moved, ref), solution(moved, ref), "on three answers of which one became unlikelier")
    yield differs(answer(ref, moved), solution(ref, moved), "where the mean is below zero")
    leaf = moved.clone().requires_grad_()
    if answer(leaf, ref).requires_grad:
        yield "gradients flow through it; in KTO they do not: detach it"


GOOD = torch.tensor([True, False, True, False])
SINGLE = torch.tensor([-3.0, -8.0, -9.0, -4.0]), torch.tensor([-5.0, -7.5, -6.0, -7.0])


def _kto(logp, ref, good, kl, beta=0.1, weights=(1.0, 1.0), value=lambda above: 1 - above.sigmoid(), cut=True):
    above = beta * (logp - ref - (kl if cut else 0.0))
    return torch.where(good, weights[0] * value(above), weights[1] * value(-above))


@exercise(
    "preference.kto",
    title="KTO: no pairs, a verdict each",
    signature="kto(logp: (B,), ref_logp: (B,), desirable: (B,) bool, kl, beta=0.1, weights=(1.0, 1.0)) -> (B,)",
    solution="llmrl.preference.losses.kto",
    minutes=12,
    difficulty=2,
    hints=(
        "First the log-ratio r. A good answer wants r - kl to be large, a bad one wants kl - r to be large.",
        "The loss of either is its weight times 1 - sigmoid(beta * what it wants). torch.where chooses by verdict.",
    ),
    wrong=(
        Wrong(
            "the reference point was left out: an answer gains only what it gains beyond the kl",
            lambda *x, **k: _kto(*x, **k, cut=False),
        ),
        Wrong(
            "a logarithm went around the sigmoid, as in DPO; KTO's value levels off on both sides",
            lambda *x, **k: _kto(*x, **k, value=lambda above: -F.logsigmoid(above)),
        ),
        Wrong(
            "this grows when it should shrink: the loss is the weight less the value",
            lambda *x, **k: _kto(*x, **k, value=lambda above: above.sigmoid()),
        ),
        Wrong("good and bad changed places", lambda p, q, good, *x, **k: _kto(p, q, ~good, *x, **k)),
        Wrong(
            "for a bad answer the sign of the log-ratio changed, and that of the kl did not: it is kl - r",
            lambda p, q, good, kl, beta=0.1, weights=(1.0, 1.0): torch.where(
                good,
                weights[0] * (beta * (kl - p + q)).sigmoid(),
                weights[1] * (1 - (beta * (-(p - q) - kl)).sigmoid()),
            ),
        ),
        Wrong(
            "the weights changed places: the first is for good answers",
            lambda p, q, good, kl, beta=0.1, weights=(1.0, 1.0): _kto(p, q, good, kl, beta, weights[::-1]),
        ),
        Wrong(
            "the weights were not used",
            lambda p, q, good, kl, beta=0.1, weights=(1.0, 1.0): _kto(p, q, good, kl, beta),
        ),
        Wrong(
            "beta belongs before the kl as well",
            lambda p, q, good, kl, beta=0.1, weights=(1.0, 1.0): _kto(p, q, good, kl / beta, beta, weights),
        ),
        Wrong(
            "the reference model is missing: r is the log-probability less the reference's",
            lambda p, q, *x, **k: _kto(p, torch.zeros_like(q), *x, **k),
        ),
    ),
)
def kto(answer, solution):
    for kl, beta, weights in ((0.0, 0.1, (1.0, 2.0)), (1.5, 0.5, (1.0, 1.0)), (1.5, 0.5, (1.0, 3.0))):
        case = f"on four answers with kl {kl}, beta {beta} and weights {weights}"
        yield differs(answer(*SINGLE, GOOD, kl, beta, weights), solution(*SINGLE, GOOD, kl, beta, weights), case)
