"""Exercises on speculative decoding and on controls: when a guess is kept, what replaces it, what a rule forbids.

Each checker probes the case somebody gets wrong: a guess the draft overrates, a token that only the target likes, a
negative score, a token that is fine until its last byte. Left out: caches, which change the speed and nothing else.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm.grammar import advance
from llmrl.lm.penalties import counted
from llmrl.lm.penalties import repetition_penalty as solved_penalty
from llmrl.lm.speculative import residual as solved_residual

TARGET = torch.tensor([[0.5, 0.3, 0.2, 0.0], [0.1, 0.2, 0.3, 0.4]], dtype=torch.double)
DRAFT = torch.tensor([[0.2, 0.6, 0.1, 0.1], [0.25, 0.25, 0.25, 0.25]], dtype=torch.double)
SURE = torch.tensor([[1.0, 0.0, 0.0]], dtype=torch.double), torch.tensor([[0.0, 0.5, 0.5]], dtype=torch.double)


@exercise(
    "lm.keeping",
    title="How often a guess is kept",
    signature="keeping(p: (..., V), q: (..., V)) -> (..., V), for each token, were it guessed; 1 where q is 0",
    solution="llmrl.lm.speculative.keeping",
    minutes=6,
    difficulty=1,
    hints=(
        "A token guessed more often than the target wants must at times be refused: keep the share p/q of its guesses.",
        "A probability is at most 1: (p / q).clamp(max=1). Where q is 0, torch.where puts the 1.",
    ),
    wrong=(
        Wrong("a probability is at most 1; clamp the ratio", lambda p, q: torch.where(q > 0, p / q, 1.0)),
        Wrong(
            "the ratio is upside down: what the draft overrates is refused, so the target's p stands above",
            lambda p, q: torch.where(p > 0, (q / p).clamp(max=1), 1.0),
        ),
        Wrong("this keeps with the target's probability, however often the token was guessed", lambda p, q: p),
        Wrong("a guess the draft overrates is still kept now and then", lambda p, q: (p >= q).to(p)),
        Wrong(
            "0 by 0 is no number; where the draft never guesses, put 1",
            lambda p, q: (p / q).clamp(max=1),
        ),
        Wrong(
            "this is how often a token is guessed and kept; how often it is kept once guessed was asked",
            lambda p, q: torch.minimum(p, q),
        ),
        Wrong(
            "the ratio was taken of the sums; each token has its own",
            lambda p, q: (p.sum(-1, True) / q.sum(-1, True)).clamp(max=1).expand_as(p),
        ),
    ),
)
def keeping(answer, solution):
    yield differs(answer(TARGET, DRAFT), solution(TARGET, DRAFT), "on two rows of four tokens")
    p, q = torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0])
    yield differs(answer(p, q), solution(p, q), "on a token that neither would say")
    yield differs(answer(*SURE), solution(*SURE), "on a target that refuses every guess")


@exercise(
    "lm.residual",
    title="What replaces a guess that is not kept",
    signature="residual(p: (..., V), q: (..., V)) -> probabilities (..., V); p itself where p = q",
    solution="llmrl.lm.speculative.residual",
    minutes=8,
    difficulty=2,
    hints=(
        "Keeping gives token v the probability min(p, q). What it still lacks is p - min(p, q), never negative.",
        "(p - q).clamp(min=0), divided by its sum over the last dimension; torch.where for the row whose sum is 0.",
    ),
    wrong=(
        Wrong(
            "where both agree nothing is left to divide by; the answer is p there",
            lambda p, q: (gap := (p - q).clamp(min=0)) / gap.sum(-1, keepdim=True),
        ),
        Wrong(
            "drawing from the target anew gives its favourites twice: they were kept already",
            lambda p, q: p,
        ),
        Wrong(
            "probabilities add up to one; divide by the sum",
            lambda p, q: torch.where(p == q, p, (p - q).clamp(min=0)),
        ),
        Wrong("probabilities are not negative; clamp before you divide", lambda p, q: p - q),
        Wrong(
            "this is what the draft has more than the target; the other way round is lacking",
            lambda p, q: solved_residual(q, p),
        ),
        Wrong(
            "too much and too little count alike here; only what the target has more is lacking",
            lambda p, q: (gap := (p - q).abs()) / gap.sum(-1, keepdim=True),
        ),
        Wrong(
            "each row has a sum of its own, over the last dimension",
            lambda p, q: (gap := (p - q).clamp(min=0)) / gap.sum(),
        ),
        Wrong(
            "softmax gives something to every token, those included that lack nothing",
            lambda p, q: (p - q).clamp(min=0).softmax(-1),
        ),
    ),
)
def residual(answer, solution):
    yield differs(answer(TARGET, DRAFT), solution(TARGET, DRAFT), "on two rows of four tokens")
    yield differs(answer(*SURE), solution(*SURE), "on a target that refuses every guess")
    yield differs(answer(TARGET, TARGET), solution(TARGET, TARGET), "where draft and target agree")


def _lowered(z, theta):
    return torch.where(z > 0, z / theta, z * theta)


@exercise(
    "lm.repetition_penalty",
    title="The repetition penalty",
    signature="repetition_penalty(logits: (B, V), ids: (B, T), theta) -> (B, V)",
    solution="llmrl.lm.penalties.repetition_penalty",
    minutes=12,
    difficulty=2,
    hints=(
        "Lower means: a positive score is divided by theta, a negative one multiplied. torch.where chooses.",
        "Which tokens occurred, row by row: torch.zeros_like(logits).scatter(1, ids, 1.0) is 1 there and 0 elsewhere.",
    ),
    wrong=(
        Wrong(
            "dividing a negative score brings it nearer to 0 and makes the token likelier; multiply it",
            lambda z, ids, theta: torch.where(counted(z, ids) > 0, z / theta, z),
        ),
        Wrong("tokens that never occurred keep their score", lambda z, ids, theta: _lowered(z, theta)),
        Wrong(
            "this is applied once per occurrence; once for having occurred is enough",
            lambda z, ids, theta: torch.where(z > 0, z / theta ** counted(z, ids), z * theta ** counted(z, ids)),
        ),
        Wrong(
            "this rewards repetition: it should lower scores", lambda z, ids, theta: solved_penalty(z, ids, 1 / theta)
        ),
        Wrong(
            "every row has a past of its own",
            lambda z, ids, theta: solved_penalty(z, ids.flatten().expand(len(z), -1), theta),
        ),
        Wrong("only the newest token was penalised", lambda z, ids, theta: solved_penalty(z, ids[:, -1:], theta)),
        Wrong(
            "this subtracts; the repetition penalty divides or multiplies",
            lambda z, ids, theta: z - theta * (counted(z, ids) > 0),
        ),
        Wrong(
            "these are probabilities; return scores", lambda z, ids, theta: solved_penalty(z, ids, theta).softmax(-1)
        ),
    ),
)
def repetition_penalty(answer, solution):
    logits = torch.tensor([[3.0, 1.0, -2.0, 0.0, -1.0], [2.0, -4.0, 1.0, 5.0, 0.5]])
    ids = torch.tensor([[0, 2, 0], [1, 3, 3]])
    case = "on two rows of five scores, with theta = 2"
    yield differs(answer(logits, ids, 2.0), solution(logits, ids, 2.0), case)


def _step(state, byte):
    """Digits, then one full stop: the state is how many digits there were, or "end"."""
    if state == "end":
        return None
    return state + 1 if byte in b"0123456789" else "end" if byte == ord(".") and state > 0 else None


def _each(rule):
    """allowed with another rule for a token that is not empty."""
    return lambda step, state, tokens: torch.tensor([rule(step, state, token) for token in tokens])


def _any_byte(step, state, token):
    return any(step(state, byte) is not None for byte in token)


def _from_the_state(step, state, token):
    return all(step(state, byte) is not None for byte in token)


@exercise(
    "lm.allowed",
    title="Which tokens a grammar allows",
    signature="allowed(step, state, tokens: list of V bytes) -> bool (V), where step(state, byte) -> state or None",
    solution="llmrl.lm.grammar.allowed",
    minutes=12,
    difficulty=2,
    hints=(
        "A token is taken byte by byte: the state after the first byte is where the second begins.",
        "None is a dead end, whatever comes after it. A state may be anything, 0 included: ask `is None`.",
    ),
    wrong=(
        Wrong(
            "only the first byte was looked at; a later one may be refused",
            _each(lambda step, state, token: step(state, token[0]) is not None),
        ),
        Wrong(
            "every byte was tried from the same state; the first one moves on to another",
            _each(_from_the_state),
        ),
        Wrong("one good byte is not enough, all of them have to be taken", _each(_any_byte)),
        Wrong(
            "this says which tokens are forbidden; True means allowed",
            _each(lambda step, state, token: advance(step, state, token) is None),
        ),
        Wrong(
            "the bytes were taken from the last to the first",
            _each(lambda step, state, token: advance(step, state, token[::-1]) is not None),
        ),
        Wrong(
            "only tokens after which nothing may follow were kept; a text may go on",
            _each(lambda step, state, token: advance(step, state, token) == "end"),
        ),
        Wrong(
            "this began at the state 0; begin where the text stands",
            lambda step, state, tokens: _each(lambda step, state, t: advance(step, 0, t) is not None)(step, 0, tokens),
        ),
    ),
)
def allowed(answer, solution):
    tokens = [b"1", b".", b"12", b"3.", b"4.5", b".6", b"a7", b"8b", b"..", b"90.", b"x"]
    for state, case in ((0, "where nothing was written yet"), (2, "after two digits"), ("end", "after the full stop")):
        yield differs(
            answer(_step, state, tokens), solution(_step, state, tokens), f"{case}, with digits and a full stop"
        )
