"""Exercises on choosing the next token.

Each checker probes the case somebody gets wrong: a second row, a first step with one beam, a temperature near zero,
dice that fall on a border. Left out: filters, contrastive and speculative decoding, which have exercises of their own.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm.decoding import beam_step as _step
from llmrl.lm.decoding import draw as _drawn


def _places(score, logp, keep, cut):
    best, place = (score[..., None] + logp).flatten(1).topk(keep)
    return best, place // cut, place % cut


@exercise(
    "lm.beam_step",
    title="One step of beam search",
    signature="beam_step(score: (B, W), logp: (B, W, V), keep) -> score, beam, token, each (B, keep)",
    solution="llmrl.lm.decoding.beam_step",
    minutes=12,
    difficulty=2,
    hints=(
        "The score of a continuation is its beginning's score plus the token's log-probability: (B, W, V) numbers.",
        "Flatten beams and tokens into one row of W·V and take topk: place // V is the beam, place % V the token.",
    ),
    wrong=(
        Wrong(
            "the score of the beginning is missing; a good token after a bad beginning is no bargain",
            lambda score, logp, keep: _step(torch.zeros_like(score), logp, keep),
        ),
        Wrong(
            "beginning and token were multiplied; log-probabilities are added",
            lambda score, logp, keep: _step(torch.zeros_like(score), score[..., None] * logp, keep),
        ),
        Wrong(
            "every beam kept its own best; all continuations of a prompt compete with each other",
            lambda score, logp, keep: (
                score + logp.amax(-1),
                torch.arange(score.shape[1]).expand_as(score),
                logp.argmax(-1),
            ),
        ),
        Wrong(
            "beam and token are exchanged; place // V is the beam, place % V the token",
            lambda score, logp, keep: (lambda s, w, v: (s, v, w))(*_step(score, logp, keep)),
        ),
        Wrong(
            "the place was divided by the number of beams; a flattened row has V entries for each beam",
            lambda score, logp, keep: _places(score, logp, keep, score.shape[1]),
        ),
        Wrong(
            "the worst continuations were kept",
            lambda score, logp, keep: (lambda s, w, v: (-s, w, v))(*_step(-score, -logp, keep)),
        ),
        Wrong(
            "these are probabilities; the scores stay sums of logarithms",
            lambda score, logp, keep: (lambda s, w, v: (s.exp(), w, v))(*_step(score, logp, keep)),
        ),
        Wrong(
            "every prompt got the first one's continuations",
            lambda score, logp, keep: tuple(x[:1].expand(len(score), -1) for x in _step(score, logp, keep)),
        ),
    ),
)
def beam_step(answer, solution):
    score = torch.tensor([[0.6, 0.3], [0.2, 0.7]]).log()
    logp = torch.tensor([[[0.5, 0.3, 0.2], [0.9, 0.06, 0.04]], [[0.1, 0.75, 0.15], [0.25, 0.35, 0.4]]]).log()
    yield differs(answer(score, logp, 2), solution(score, logp, 2), "for two prompts with two beams and three tokens")
    yield differs(answer(score, logp, 4), solution(score, logp, 4), "with four to keep")
    one = torch.zeros(1, 1), logp[:1, :1]
    yield differs(answer(*one, 3), solution(*one, 3), "at the first step, where there is one beam")


def _top_at_zero(z):
    return z - z.amax(-1, keepdim=True)


@exercise(
    "lm.temper",
    title="Temperature that never overflows",
    signature="temper(logits: (..., V), temperature) -> (..., V), the largest of each row 0",
    solution="llmrl.lm.decoding.temper",
    minutes=6,
    difficulty=1,
    hints=(
        "Subtracting one number from all scores of a row changes no probability: move the largest to 0 first.",
        "Then divide by the temperature: however small it is, the largest stays 0 and the others fall.",
    ),
    wrong=(
        Wrong("multiplied, not divided; a high temperature makes scores alike", lambda z, t: _top_at_zero(z) * t),
        Wrong("the largest score of each row should be moved to 0 before the division", lambda z, t: z / t),
        Wrong("subtract the largest of each row, not of the whole tensor", lambda z, t: (z - z.max()) / t),
        Wrong(
            "the largest was subtracted after the division without being divided",
            lambda z, t: z / t - z.amax(-1, True),
        ),
        Wrong("scores are wanted, not probabilities", lambda z, t: (z / t).softmax(-1)),
        Wrong("scores are wanted, not log-probabilities", lambda z, t: (z / t).log_softmax(-1)),
        Wrong(
            "the smallest score was moved to 0; powers of the others can overflow", lambda z, t: -_top_at_zero(-z) / t
        ),
    ),
)
def temper(answer, solution):
    logits = torch.tensor([[2.0, 1.0, -1.0], [30.0, 10.0, 20.0]])
    for temperature in (0.5, 2.0, 1e-3):
        yield differs(answer(logits, temperature), solution(logits, temperature), f"at temperature {temperature:g}")


@exercise(
    "lm.draw",
    title="Draw a token with one throw of the dice",
    signature="draw(probabilities: (B, V), dice: (B,) in [0, 1)) -> tokens (B,)",
    solution="llmrl.lm.decoding.draw",
    minutes=10,
    difficulty=2,
    hints=(
        "Lay the probabilities end to end on [0, 1): cumsum gives where each token's share ends.",
        "The token is the number of shares that end at or before the dice: (ends <= dice[:, None]).sum(-1).",
    ),
    wrong=(
        Wrong("the most probable token came, whatever the dice say", lambda p, dice: p.argmax(-1)),
        Wrong(
            "dice on a border belong to the share that begins there, or a token without a share can come up",
            lambda p, dice: (p.cumsum(-1) < dice[:, None]).sum(-1),
        ),
        Wrong(
            "the shares were not laid end to end; cumsum does that",
            lambda p, dice: (p <= dice[:, None]).sum(-1).clamp(max=p.shape[-1] - 1),
        ),
        Wrong("every row has a throw of its own", lambda p, dice: _drawn(p, dice[:1].expand(len(p)))),
        Wrong(
            "tokens were counted from one; the first is token 0",
            lambda p, dice: (_drawn(p, dice) + 1).clamp(max=p.shape[-1]),
        ),
        Wrong(
            "the shares were laid out from the last token to the first",
            lambda p, dice: p.shape[-1] - 1 - _drawn(p.flip(-1), dice),
        ),
        Wrong(
            "the running sum went down the rows; it runs over the vocabulary",
            lambda p, dice: (p.cumsum(0) <= dice[:, None]).sum(-1),
        ),
    ),
)
def draw(answer, solution):
    p = torch.tensor([[0.5, 0.25, 0.25], [0.125, 0.25, 0.625], [0.25, 0.125, 0.625]])
    for dice in ([0.6, 0.05, 0.99], [0.1, 0.3, 0.3]):
        dice = torch.tensor(dice)
        yield differs(answer(p, dice), solution(p, dice), f"with the dice {[round(x, 2) for x in dice.tolist()]}")
    impossible, zero = torch.tensor([[0.0, 1.0]]), torch.tensor([0.0])
    yield differs(answer(impossible, zero), solution(impossible, zero), "on probabilities 0 and 1 with the dice at 0")
