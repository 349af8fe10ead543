"""Exercises on the losses that need no reference: odds, means per token, a hinge over ranks; and the price of a limit.

Each checker probes what the formulas found in the wild get wrong: a sum in the place of a mean, a probability in the
place of odds, a softmax in the place of a hinge. Left out: training with them.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

PAIR = torch.tensor([-3.0, -8.0, -60.0]), torch.tensor([-5.0, -6.0, -9.0])
LENGTH = torch.tensor([2, 4, 12]), torch.tensor([5, 2, 3])


@exercise(
    "preference.log_odds",
    title="The logarithm of the odds, from a log-probability",
    signature="log_odds(logp: (B,)) -> (B,)",
    solution="llmrl.preference.losses.log_odds",
    minutes=10,
    difficulty=2,
    hints=(
        "odds = P / (1 - P), so its logarithm is logp - log(1 - e^logp). expm1 is e^x - 1 without rounding near 0.",
        "At logp = 0 the odds are infinite. First cut logp off at -1e-6, and nothing infinite can come out.",
    ),
    wrong=(
        Wrong("these are the odds; their logarithm is asked for", lambda x: x.exp() / (1 - x.exp())),
        Wrong("this is log(1 - P) alone; subtract it from logp", lambda x: (-x.clamp(max=-1e-6).expm1()).log()),
        Wrong("the sign of log(1 - P) is wrong: odds divide by it", lambda x: x + (-x.clamp(max=-1e-6).expm1()).log()),
        Wrong("logp is no probability: 1 - P needs the exponential first", lambda x: x - (1 - x).log()),
        Wrong(
            "near 1 the difference 1 - e^logp was rounded to nothing: cut logp off at -1e-6, use expm1",
            lambda x: x - (1 - x.exp()).log(),
        ),
        Wrong("at a log-probability of 0 this is infinite: cut logp off at -1e-6", lambda x: x - (-x.expm1()).log()),
        Wrong(
            "far from 1 cutting P into [0.01, 0.99] loses what it is about",
            lambda x: x.clamp(-4.6, -0.01) - (-x.clamp(-4.6, -0.01).expm1()).log(),
        ),
        Wrong("log P + log P / (1 - P) mixes two formulas", lambda x: x + x / (1 - x.exp())),
    ),
)
def log_odds(answer, solution):
    some = torch.tensor([0.9, 0.5, 0.1]).log()
    yield differs(answer(some), solution(some), "for P = 0.9, 0.5 and 0.1")
    small = torch.tensor([-20.0, -300.0])
    yield differs(answer(small), solution(small), "for the probabilities of long answers")
    certain = torch.tensor([-1e-5, 0.0])
    yield differs(answer(certain), solution(certain), "for answers that are all but certain", tol=1e-3)


def _means(w, l, lw, ll):
    return w / lw, l / ll


def _simpo(w, l, lw, ll, beta=2.0, gamma=1.0, means=_means):
    chosen, rejected = means(w, l, lw, ll)
    return -F.logsigmoid(beta * (chosen - rejected) - gamma)


@exercise(
    "preference.simpo",
    title="SimPO: per token, without a reference",
    signature="simpo(chosen_logp, rejected_logp, chosen_length, rejected_length: (B,), beta=2.0, gamma=1.0) -> (B,)",
    solution="llmrl.preference.losses.simpo",
    minutes=8,
    difficulty=1,
    hints=(
        "Divide each summed log-probability by its answer's own length, then take beta times the difference.",
        "Subtract gamma from that margin, and give it to the pairwise loss: -logsigmoid, one value per pair.",
    ),
    wrong=(
        Wrong(
            "sums were compared; SimPO compares means per token", lambda *x: _simpo(*x, means=lambda w, l, *n: (w, l))
        ),
        Wrong(
            "both were divided by the same length; each answer has its own",
            lambda *x: _simpo(*x, means=lambda w, l, n, m: (w / n, l / n)),
        ),
        Wrong(
            "gamma was added: that would let a pair off before it is won",
            lambda w, l, n, m, b=2.0, g=1.0: _simpo(w, l, n, m, b, -g),
        ),
        Wrong("gamma stands outside of beta's bracket", lambda w, l, n, m, b=2.0, g=1.0: _simpo(w, l, n, m, b, b * g)),
        Wrong("gamma is missing", lambda w, l, n, m, b=2.0, g=1.0: _simpo(w, l, n, m, b, 0.0)),
        Wrong("beta is missing", lambda w, l, n, m, b=2.0, g=1.0: _simpo(w, l, n, m, 1.0, g)),
        Wrong("chosen and rejected changed places", lambda w, l, n, m, *x: _simpo(l, w, m, n, *x)),
        Wrong("the logarithm is missing: this is a probability", lambda *x: (-_simpo(*x)).exp()),
        Wrong(
            "log-probabilities were multiplied by the lengths; divide, so that a long answer is not punished for it",
            lambda *x: _simpo(*x, means=lambda w, l, n, m: (w * n, l * m)),
        ),
    ),
)
def simpo(answer, solution):
    yield differs(answer(*PAIR, *LENGTH), solution(*PAIR, *LENGTH), "on three pairs")
    yield differs(answer(*PAIR, *LENGTH, 5.0, 0.5), solution(*PAIR, *LENGTH, 5.0, 0.5), "with beta 5, gamma 0.5")


def _rrhf(logp, length, reward, weight=1.0, mean=True, worse=torch.lt, wrong=lambda d: d.clamp(min=0), best=None):
    p = logp / length if mean else logp
    pairs = worse(reward[:, :, None], reward[:, None, :])
    rank = torch.where(pairs, wrong(p[:, :, None] - p[:, None, :]), 0.0).sum((1, 2))
    learned = logp if best is None else best(logp, length)
    return weight * rank - learned.gather(1, reward.argmax(1, keepdim=True)).squeeze(1)


@exercise(
    "preference.rrhf",
    title="RRHF: a hinge for every pair in the wrong order",
    signature="rrhf(logp: (B, K), length: (B, K), reward: (B, K), weight=1.0) -> (B,)",
    solution="llmrl.preference.losses.rrhf",
    minutes=15,
    difficulty=3,
    hints=(
        "p[:, :, None] - p[:, None, :] holds p_i - p_j for all i and j. Keep it where r_i < r_j and it is positive.",
        "The best answer is reward.argmax(1). Its summed log-probability is subtracted, next to the weighted hinges.",
    ),
    wrong=(
        Wrong(
            "this softmax never comes to rest; a hinge is done once the order is right",
            lambda p, n, r, weight=1.0: _rrhf(p, n, r, weight, wrong=F.softplus),
        ),
        Wrong("sums were compared; the ranking is by the mean per token", lambda *x: _rrhf(*x, mean=False)),
        Wrong("the order was turned round: the better answer was punished", lambda *x: _rrhf(*x, worse=torch.gt)),
        Wrong("all pairs were counted, those in the right order as well", lambda *x: _rrhf(*x, wrong=lambda d: d)),
        Wrong("pairs of equal reward have no order", lambda *x: _rrhf(*x, worse=torch.le)),
        Wrong(
            "the best answer's mean was learned; the paper adds its summed log-probability",
            lambda *x: _rrhf(*x, best=lambda p, n: p / n),
        ),
        Wrong(
            "the term that learns the best answer is missing",
            lambda *x: _rrhf(*x, best=lambda p, n: torch.zeros_like(p)),
        ),
        Wrong(
            "the weight belongs to the ranking alone",
            lambda p, n, r, weight=1.0: weight * _rrhf(p, n, r),
        ),
        Wrong(
            "the best by reward is learned, not the likeliest",
            lambda p, n, r, weight=1.0: _rrhf(p, n, r, weight, best=lambda a, b: torch.zeros_like(a)) - p.amax(1),
        ),
    ),
)
def rrhf(answer, solution):
    logp = torch.tensor([[-2.0, -6.0, -3.0, -8.0], [-4.0, -5.0, -9.0, -1.0]])
    length, reward = (
        torch.tensor([[2, 4, 3, 8], [4, 2, 3, 1]]),
        torch.tensor([[1.0, 2.0, 0.0, 1.0], [0.0, 3.0, 1.0, 1.0]]),
    )
    yield differs(answer(logp, length, reward), solution(logp, length, reward), "on two prompts of four answers")
    yield differs(answer(logp, length, reward, 0.5), solution(logp, length, reward, 0.5), "with a weight of one half")


@exercise(
    "preference.dual_step",
    title="The price of a limit",
    signature="dual_step(multiplier, kl, limit, rate) -> the next multiplier, a number",
    solution="llmrl.preference.reference.dual_step",
    minutes=6,
    difficulty=1,
    hints=(
        "While the KL is above the limit the price rises, in proportion to the excess; below the limit it falls.",
        "A price is never negative: max(0.0, ...) around the whole.",
    ),
    wrong=(
        Wrong("the price falls where it should rise", lambda m, kl, limit, rate: max(0.0, m - rate * (kl - limit))),
        Wrong("below the limit it should fall again", lambda m, kl, limit, rate: m + rate * max(0.0, kl - limit)),
        Wrong("a price below 0 would pay for breaking the limit", lambda m, kl, limit, rate: m + rate * (kl - limit)),
        Wrong("the old price is forgotten", lambda m, kl, limit, rate: max(0.0, rate * (kl - limit))),
        Wrong("the limit is missing: any KL would raise the price", lambda m, kl, limit, rate: max(0.0, m + rate * kl)),
        Wrong("the rate was not used", lambda m, kl, limit, rate: max(0.0, m + kl - limit)),
        Wrong(
            "the step is added, not multiplied with: a price of 0 could never rise again",
            lambda m, kl, limit, rate: max(0.0, m * (1 + rate * (kl - limit))),
        ),
    ),
)
def dual_step(answer, solution):
    for case in ((0.5, 3.0, 1.0, 0.1), (0.5, 0.2, 1.0, 0.25), (0.1, 0.2, 1.0, 0.5), (0.0, 3.0, 1.0, 0.1)):
        yield differs(answer(*case), solution(*case), "on multiplier {}, kl {}, limit {}, rate {}".format(*case))
