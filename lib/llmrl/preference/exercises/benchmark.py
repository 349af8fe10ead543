"""Exercises on wrong labels and on comparing methods.

The checkers probe what makes a comparison unfair: a draw counted for one side, prompts that are not the same, a
correction that corrects the wrong way. Left out: training, which takes longer than an exercise may.
"""

import math

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.preference.losses import preference_loss


def _margin(w, l, rw, rl, beta):
    return beta * (w - rw - l + rl)


def _robust(*x, right=lambda e: 1 - e, wrong=lambda e: e, scale=lambda e: 1 - 2 * e, margin=_margin):
    m, e = margin(*x[:5]), x[5]
    return (right(e) * preference_loss(m) - wrong(e) * preference_loss(-m)) / scale(e)


@exercise(
    "preference.robust_dpo",
    title="A loss that undoes the flips",
    signature="robust_dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp: (B,), beta, flip) -> (B,)",
    solution="llmrl.preference.losses.robust_dpo",
    minutes=12,
    difficulty=2,
    hints=(
        "Look for a and b so that (1 - flip)(a l(m) + b l(-m)) + flip (a l(-m) + b l(m)) is l(m) for every margin m.",
        "Collect what stands before l(m) and before l(-m): (1 - flip) a + flip b = 1 and flip a + (1 - flip) b = 0.",
    ),
    wrong=(
        Wrong(
            "this is cDPO, which adds the other direction; to undo flips it has to be subtracted",
            lambda *x: preference_loss(_margin(*x[:5]), x[5]),
        ),
        Wrong("divide by 1 - 2 flip; without it the mean is too small", lambda *x: _robust(*x, scale=lambda e: 1.0)),
        Wrong(
            "divided by 1 - flip; the two weights have to add up to one, and they add up to 1 - 2 flip",
            lambda *x: _robust(*x, scale=lambda e: 1 - e),
        ),
        Wrong(
            "the two weights changed places: the label as it is shown weighs 1 - flip",
            lambda *x: _robust(*x, right=lambda e: e, wrong=lambda e: 1 - e),
        ),
        Wrong(
            "the label as it is shown needs its weight 1 - flip as well", lambda *x: _robust(*x, right=lambda e: 1.0)
        ),
        Wrong(
            "the reference is missing from the margin",
            lambda *x: _robust(*x, margin=lambda w, l, rw, rl, beta: beta * (w - l)),
        ),
        Wrong(
            "beta is missing from the margin",
            lambda *x: _robust(*x, margin=lambda w, l, rw, rl, beta: w - l - rw + rl),
        ),
        Wrong("one value per pair is asked for, not their mean", lambda *x: _robust(*x).mean()),
        Wrong("the negative values were cut off; the mean over flips needs them", lambda *x: _robust(*x).clamp(min=0)),
    ),
)
def robust_dpo(answer, solution):
    logps = [torch.tensor(x) for x in ([-3.0, -8.0, -1.0], [-5.0, -6.0, -9.0], [-4.0, -9.0, -6.0], [-4.6, -7.5, -4.0])]
    yield differs(answer(*logps, 0.5, 0.2), solution(*logps, 0.5, 0.2), "on three pairs at flip 0.2")
    far = [torch.tensor([x]) for x in (-1.0, -30.0, -15.0, -15.0)]
    yield differs(answer(*far, 1.0, 0.4), solution(*far, 1.0, 0.4), "on a pair with a margin of 29, at flip 0.4")
    yield differs(answer(*logps, 0.5, 0.0), solution(*logps, 0.5, 0.0), "at flip 0, where it is DPO")


def _odds(noise, flip=0.0, q=lambda p, e: (1 - e) * (1 - p) + e * p, f=torch.logit):
    return f(q(torch.as_tensor(noise, dtype=torch.float64), flip))


@exercise(
    "preference.best_margin",
    title="The margin that noisy labels ask for",
    signature="best_margin(noise: (N,), flip=0.0) -> (N,) float64",
    solution="llmrl.preference.noise.best_margin",
    minutes=12,
    difficulty=2,
    hints=(
        "How much weight falls on the right order? The label is right with 1 - noise, and then the loss gives it "
        "1 - flip; the label is wrong with noise, and then the loss gives the right order flip.",
        "With weight q on l(m) and 1 - q on l(-m) the slope is zero where sigmoid(m) = q. Turn that around.",
    ),
    wrong=(
        Wrong(
            "the loss's own flip was forgotten: a loss that expects flips mixes the two orders once more",
            lambda noise, flip=0.0: _odds(noise, flip, lambda p, e: 1 - p),
        ),
        Wrong(
            "the labels' noise was forgotten; the loss sees labels that are wrong that often",
            lambda noise, flip=0.0: _odds(noise, flip, lambda p, e: 1 - e + 0 * p),
        ),
        Wrong(
            "a flip by the label and one by the loss bring the right order back: their product counts for it",
            lambda noise, flip=0.0: _odds(noise, flip, lambda p, e: (1 - e) * (1 - p)),
        ),
        Wrong(
            "the two shares were added; the chances of both orders have to be multiplied out",
            lambda noise, flip=0.0: _odds(noise, flip, lambda p, e: 1 - p - e),
        ),
        Wrong("the sign is turned: this is the margin of the wrong order", lambda noise, flip=0.0: -_odds(noise, flip)),
        Wrong(
            "this is the weight q itself; the margin is its log odds, log of q over 1 - q",
            lambda noise, flip=0.0: _odds(noise, flip, f=lambda q: q),
        ),
        Wrong("the odds are right, their logarithm is missing", lambda noise, flip=0.0: _odds(noise, flip).exp()),
    ),
)
def best_margin(answer, solution):
    noise = torch.tensor([0.1, 0.25, 0.4], dtype=torch.float64)
    yield differs(answer(noise), solution(noise), "for a loss that expects no flips")
    yield differs(answer(noise, 0.1), solution(noise, 0.1), "for a loss that expects a tenth to be flipped")
    yield differs(answer(noise[2:], 0.4), solution(noise[2:], 0.4), "where 0.4 are flipped, and expected to be")


def _wins(ours, theirs, draw=0.5, error=lambda won: won.std() / len(won) ** 0.5):
    ours, theirs = torch.tensor(ours, dtype=torch.float64), torch.tensor(theirs, dtype=torch.float64)
    won = torch.where(ours > theirs, 1.0, torch.where(ours == theirs, draw, 0.0)).double()
    return won.mean().item(), error(won).item()


def _decided(ours, theirs):
    kept = [(a, b) for a, b in zip(ours, theirs) if a != b]
    return _wins(*zip(*kept)) if len(kept) > 1 else (math.nan, math.nan)


def _difference(ours, theirs):
    gaps = torch.tensor(ours, dtype=torch.float64) - torch.tensor(theirs, dtype=torch.float64)
    return gaps.mean().item(), (gaps.std() / len(gaps) ** 0.5).item()


def _all_against_all(ours, theirs):
    n = len(ours)
    return _wins([a for a in ours for _ in range(n)], list(theirs) * n)


@exercise(
    "preference.win_rate",
    title="Who wins, prompt by prompt, and how surely",
    signature="win_rate(ours: list of N rewards, theirs: list of N rewards) -> (rate, standard error)",
    solution="llmrl.preference.contest.win_rate",
    minutes=10,
    difficulty=1,
    hints=(
        "Each prompt is one contest: 1 if our answer has the higher reward, 0 if theirs has, 0.5 if they are equal.",
        "The standard error of a mean is the standard deviation over the root of N. torch's std divides by N - 1.",
    ),
    wrong=(
        Wrong("a draw was counted as a win; it is worth one half to both", lambda a, b: _wins(a, b, draw=1.0)),
        Wrong("a draw was counted as a loss; it is worth one half to both", lambda a, b: _wins(a, b, draw=0.0)),
        Wrong("draws were left out, and two equal models would have no win rate at all", _decided),
        Wrong("this is how much higher our rewards are; asked is how often they are higher", _difference),
        Wrong("answers to different prompts were compared; a hard prompt is hard for both", _all_against_all),
        Wrong("the two sides changed places", lambda a, b: _wins(b, a)),
        Wrong(
            "the root of N is missing: this is how much one contest varies, not how much their mean does",
            lambda a, b: _wins(a, b, error=lambda won: won.std()),
        ),
        Wrong("the error came out as zero; how sure the rate is belongs to it", lambda a, b: (_wins(a, b)[0], 0.0)),
    ),
)
def win_rate(answer, solution):
    ours, theirs = [1.0, 2.0, 3.0, 0.5, 2.0], [0.0, 2.0, 5.0, -1.0, 1.5]
    yield differs(answer(ours, theirs), solution(ours, theirs), "on five prompts, one of them a draw")
    yield differs(answer(theirs, ours), solution(theirs, ours), "with the sides exchanged")
    equal = [0.5, 1.0, 1.5]
    yield differs(answer(equal, equal), solution(equal, equal), "on a model against itself")
