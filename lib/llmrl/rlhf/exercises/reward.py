"""Exercises on reward models.

Each checker probes the case in which a plausible version goes wrong: padding on the left, scores far from zero, labels
that are flipped as well. Left out: training one.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _moves(reward=None, state=None, terminated=None, truncated=None):
    """A wrong version of the moves: what is None is right."""
    from llmrl.rlhf.language_mdp import Move

    def wrong(prompt, answer, score, end):
        moves = []
        for t, action in enumerate(answer):
            last = t == len(answer) - 1
            moves.append(
                Move(
                    state(prompt, answer, t) if state else (*prompt, *answer[:t]),
                    action,
                    reward(t, last, score, answer) if reward else (float(score) if last else 0.0),
                    terminated(last, action, end) if terminated else last and action == end,
                    truncated(last, action, end) if truncated else last and action != end,
                )
            )
        return moves

    return wrong


@exercise(
    "rlhf.episode",
    title="An answer as an episode",
    signature="episode(prompt: list of ids, answer: list of ids, score, end: id) -> list of Move",
    solution="llmrl.rlhf.language_mdp.episode",
    minutes=10,
    difficulty=1,
    hints=(
        "One Move(state, action, reward, terminated, truncated) per token of the answer. The state of move t is the "
        "prompt and the answer's first t tokens, as a tuple.",
        "Only the last move is paid. It is terminated if its action is the end token, and truncated if it is not.",
    ),
    wrong=(
        Wrong(
            "the state is what was there before the action; here it already holds it",
            _moves(state=lambda p, a, t: (*p, *a[: t + 1])),
        ),
        Wrong("the prompt belongs to the state: without it nothing was asked", _moves(state=lambda p, a, t: (*a[:t],))),
        Wrong(
            "only the last action is paid; what the others deserve is to be found out, not given",
            _moves(reward=lambda t, last, score, a: float(score)),
        ),
        Wrong(
            "the score is paid once and not shared out",
            _moves(reward=lambda t, last, score, a: float(score) / len(a)),
        ),
        Wrong(
            "an answer that ran out of room was cut, it did not end: terminated is for the end token",
            _moves(terminated=lambda last, action, end: last),
        ),
        Wrong(
            "an answer that closes itself is not truncated, however long it is",
            _moves(truncated=lambda last, action, end: last),
        ),
    ),
)
def episode(answer, solution):
    for case, args in {
        "on an answer of two tokens and the end": ([5, 6], [7, 8, 3], 1.5, 3),
        "on an answer that ran out of room": ([5, 6], [7, 8], -2.0, 3),
        "on an answer that is only the end token": ([5], [3], 0.5, 3),
    }.items():
        yield differs([tuple(m) for m in answer(*args)], [tuple(m) for m in solution(*args)], case)


@exercise(
    "rlhf.last_real",
    title="Where the score is read",
    signature="last_real(ids: (B, T), mask: (B, T) bool) -> (B,) whole numbers",
    solution="llmrl.rlhf.reward_model.last_real",
    minutes=8,
    difficulty=1,
    hints=(
        "The mask is True on real tokens. Padding may stand on the right or on the left, in one batch even.",
        "Turn the mask around: the first True from behind. mask.int().flip(1).argmax(1) finds the first largest.",
    ),
    wrong=(
        Wrong(
            "-1 is the last column, and that is padding where the padding is on the right",
            lambda ids, mask: 0 * mask.sum(1) - 1,
        ),
        Wrong(
            "T - 1 is padding in every row that is shorter than the longest",
            lambda ids, mask: 0 * mask.sum(1) + mask.shape[1] - 1,
        ),
        Wrong(
            "counting the real tokens finds the last one only if they start in the first column",
            lambda ids, mask: mask.sum(1) - 1,
        ),
        Wrong("that is the first real token, which has seen nothing yet", lambda ids, mask: mask.int().argmax(1)),
        Wrong(
            "ask the mask, not the ids: a real token may have the id 0",
            lambda ids, mask: ids.shape[1] - 1 - (ids != 0).int().flip(1).argmax(1),
        ),
        Wrong("that is one behind the last real token", lambda ids, mask: mask.shape[1] - mask.int().flip(1).argmax(1)),
        Wrong(
            "that many columns from the right; positions are counted from the left",
            lambda ids, mask: mask.int().flip(1).argmax(1),
        ),
    ),
)
def last_real(answer, solution):
    right = torch.tensor([[1, 1, 1, 0], [1, 0, 0, 0], [1, 1, 1, 1]], dtype=torch.bool)
    ids = torch.tensor([[5, 6, 0, 0], [7, 0, 0, 0], [8, 9, 5, 6]])
    yield differs(answer(ids, right), solution(ids, right), "with padding on the right")
    yield differs(answer(ids, right.flip(1)), solution(ids, right.flip(1)), "with padding on the left")


def _losses(chosen, rejected, margin, centre):
    return F.softplus(-(chosen - rejected - margin)) + centre * (chosen + rejected) ** 2


@exercise(
    "rlhf.pair_losses",
    title="A margin and a zero",
    signature="pair_losses(chosen: (B,), rejected: (B,), margin=0.0, centre=0.0) -> (B,)",
    solution="llmrl.rlhf.reward_losses.pair_losses",
    minutes=8,
    difficulty=2,
    hints=(
        "The plain loss is -F.logsigmoid(chosen - rejected). A margin is a gap that has to be there before it counts.",
        "Take the margin off the gap inside; add centre times the square of the sum of both scores outside.",
    ),
    wrong=(
        Wrong(
            "the margin makes the loss ask for more: take it off the gap",
            lambda c, r, m=0.0, k=0.0: _losses(c, r, -torch.as_tensor(m), k),
        ),
        Wrong("the chosen answer's score is to be the larger one", lambda c, r, m=0.0, k=0.0: _losses(r, c, m, k)),
        Wrong(
            "centring holds the sum of the two scores; the square of their difference would pull them together",
            lambda c, r, m=0.0, k=0.0: _losses(c, r, m, 0.0) + k * (c - r) ** 2,
        ),
        Wrong(
            "centring takes the square of the sum, so that a gap around zero is free; here each score is squared",
            lambda c, r, m=0.0, k=0.0: _losses(c, r, m, 0.0) + k * (c**2 + r**2),
        ),
        Wrong(
            "one loss per pair; the mean is taken by whoever calls",
            lambda c, r, m=0.0, k=0.0: _losses(c, r, m, k).mean(),
        ),
        Wrong(
            "log(sigmoid(x)) is -inf for a gap of -200; F.logsigmoid is not",
            lambda c, r, m=0.0, k=0.0: -torch.log(torch.sigmoid(c - r - m)) + k * (c + r) ** 2,
        ),
    ),
)
def pair_losses(answer, solution):
    chosen, rejected = torch.tensor([2.0, 0.5, -1.0]), torch.tensor([1.0, 0.5, 3.0])
    yield differs(answer(chosen, rejected), solution(chosen, rejected), "without margin and centring")
    margin = torch.tensor([0.0, 1.0, 2.0])
    yield differs(answer(chosen, rejected, margin), solution(chosen, rejected, margin), "with margins 0, 1, 2")
    yield differs(answer(chosen, rejected, 0.0, 0.1), solution(chosen, rejected, 0.0, 0.1), "with centre 0.1")
    far = torch.tensor([-100.0]), torch.tensor([100.0])
    yield differs(answer(*far), solution(*far), "on scores far apart")


@exercise(
    "rlhf.ceiling",
    title="How right can anyone be?",
    signature="ceiling(gap: (N,) gold gaps, temperature, noise=0.0) -> a number",
    solution="llmrl.rlhf.calibration.ceiling",
    minutes=8,
    difficulty=2,
    hints=(
        "A label prefers the first answer with probability sigmoid(gap / temperature); then a share of noise is "
        "flipped. Whoever knows the gap bets on the likelier side.",
        "p = sigmoid(gap / temperature); q = (1 - noise) * p + noise * (1 - p); the bet is right with the larger of q "
        "and 1 - q. Take the mean.",
    ),
    wrong=(
        Wrong(
            "that is how often the first answer wins; a bet may be on the second",
            lambda g, t, e=0.0: _p(g, t, e).mean(),
        ),
        Wrong(
            "the gap is divided by the temperature: hot labels are noisy ones",
            lambda g, t, e=0.0: _bet(_p(g * t, 1, e)),
        ),
        Wrong("flipped labels have to be reckoned with", lambda g, t, e=0.0: _bet(_p(g, t, 0.0))),
        Wrong(
            "a flip also turns some wrong labels right: mix both directions",
            lambda g, t, e=0.0: (1 - e) * _bet(_p(g, t, 0.0)),
        ),
        Wrong(
            "take the better side of each pair, then the mean; here the mean came first",
            lambda g, t, e=0.0: torch.maximum(_p(g, t, e).mean(), 1 - _p(g, t, e).mean()),
        ),
        Wrong(
            "the better answer does not always win: a gap decides how often",
            lambda g, t, e=0.0: ((g != 0).double() * (1 - e) + (g == 0) * 0.5).mean(),
        ),
    ),
)
def ceiling(answer, solution):
    gaps = torch.tensor([-3.0, -1.0, -0.1, 0.0, 0.5, 2.0], dtype=torch.float64)
    yield differs(answer(gaps, 1.0), solution(gaps, 1.0), "at temperature 1")
    yield differs(answer(gaps, 0.5), solution(gaps, 0.5), "at temperature 0.5")
    yield differs(answer(gaps, 0.5, 0.2), solution(gaps, 0.5, 0.2), "with a fifth of the labels flipped")


def _p(gap, temperature, noise):
    p = torch.sigmoid(gap / temperature)
    return (1 - noise) * p + noise * (1 - p)


def _bet(p):
    return torch.maximum(p, 1 - p).mean()


def _line(score, length, centre_length=True, centre_score=True, keep=True):
    """What a wrong version of residualised gives: where everything is True it is right."""
    x = length.to(score)
    centred = x - x.mean() if centre_length else x
    y = score - score.mean() if centre_score else score
    slope = (centred * y).sum() / (centred * centred).sum()
    return (score if keep else score - score.mean()) - slope * centred


@exercise(
    "rlhf.residualised",
    title="What length does not explain",
    signature="residualised(score: (B,), length: (B,)) -> (B,)",
    solution="llmrl.rlhf.length_control.residualised",
    minutes=10,
    difficulty=2,
    hints=(
        "Fit a straight line through score against length by least squares, and take off what it says, but keep the "
        "mean of the scores where it was.",
        "With x = length - length.mean(), the slope is (x * score).sum() / (x * x).sum(). Take slope * x off.",
    ),
    wrong=(
        Wrong(
            "the line has an intercept: centre the lengths before you fit the slope",
            lambda s, n: _line(s, n, centre_length=False, centre_score=False),
        ),
        Wrong("the mean of the scores was to stay where it was", lambda s, n: _line(s, n, keep=False)),
        Wrong("dividing by the length is no fit: half as long would be twice as good", lambda s, n: s / n.to(s)),
        Wrong(
            "the slope is the covariance over the variance of the length; that is the correlation",
            lambda s, n: s - torch.corrcoef(torch.stack([s, n.to(s)]))[0, 1] * (n.to(s) - n.to(s).mean()),
        ),
        Wrong("take off what the line says; here it was added", lambda s, n: 2 * s - _line(s, n)),
        Wrong(
            "that is the slope of length on score; fit score on length",
            lambda s, n: s - (n.to(s) - n.to(s).mean()) * _inverse(s, n.to(s)),
        ),
    ),
)
def residualised(answer, solution):
    score = torch.tensor([1.0, 2.5, 2.0, 4.0, -1.0], dtype=torch.float64)
    length = torch.tensor([10, 20, 15, 40, 12])
    yield differs(answer(score, length), solution(score, length), "on five answers")
    score = 2 * length.double() + 3
    yield differs(answer(score, length), solution(score, length), "where length is all")


def _inverse(score, length):
    x, y = length - length.mean(), score - score.mean()
    return (x * y).sum() / (y * y).sum()
