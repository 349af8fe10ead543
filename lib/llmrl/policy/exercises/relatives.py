"""Exercises on GRPO's relatives: what a too long answer costs, and whose ratio counts.

Each checker probes lengths at both ends of the buffer, and ratios over padding that holds nan.
Left out: whole losses; those of the family are one function.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "policy.overlong",
    title="The price of length",
    signature="overlong(lengths: any shape, limit, buffer) -> the same shape",
    solution="llmrl.policy.dapo.overlong",
    minutes=6,
    difficulty=1,
    hints=(
        "How many tokens reach into the buffer? lengths - (limit - buffer). At the limit that is the whole buffer.",
        "Divide by the buffer, keep the result in [0, 1] with .clamp, and turn the sign.",
    ),
    wrong=(
        Wrong(
            "lengths below the buffer earned something; up to limit - buffer the price is 0",
            lambda n, limit, buffer: -((n - (limit - buffer)) / buffer).clamp(max=1),
        ),
        Wrong(
            "beyond the limit the price went on falling; it stays at -1",
            lambda n, limit, buffer: -((n - (limit - buffer)) / buffer).clamp(min=0),
        ),
        Wrong(
            "the sign is turned: this pays for length",
            lambda n, limit, buffer: ((n - (limit - buffer)) / buffer).clamp(0, 1),
        ),
        Wrong(
            "there is no slope: the price jumps at the limit, which is what the buffer is there to avoid",
            lambda n, limit, buffer: torch.where(n >= limit, -1.0, 0.0),
        ),
        Wrong(
            "the price began at the limit; it is to be -1 there, and begins one buffer before",
            lambda n, limit, buffer: -((n - limit) / buffer).clamp(0, 1),
        ),
        Wrong(
            "the slope reaches over the whole limit; only the last `buffer` tokens cost something",
            lambda n, limit, buffer: -(n / limit).clamp(0, 1),
        ),
    ),
)
def overlong(answer, solution):
    lengths = torch.tensor([0, 12, 13, 14, 16, 17, 40])
    yield differs(answer(lengths, 16, 4), solution(lengths, 16, 4), "with a limit of 16 and a buffer of 4")
    yield differs(answer(lengths, 40, 40), solution(lengths, 40, 40), "with a buffer as long as the limit")


NAN, INF = float("nan"), float("inf")
MASK = torch.tensor([[True, True, True, False], [True, False, False, False], [False, True, True, False]])
LOGP = torch.tensor([[-1.0, -2.0, -0.5, NAN], [-3.0, 0.0, INF, 0.0], [NAN, -1.0, -1.0, 0.0]])
OLD = torch.tensor([[-1.3, -1.7, -1.1, NAN], [-2.0, 0.0, INF, 0.0], [0.0, -0.5, -2.0, 0.0]])


def _log_ratio(logp, old_logp, mask):
    return torch.where(mask, logp - old_logp, 0.0)


def _spread(x, mask, level, of_answer):
    """The wrong answers' frame: an answer's number on each of its tokens, 1 elsewhere."""
    x = x if level == "token" else of_answer(x).expand_as(x)
    return torch.where(mask, x, 0.0).exp()


@exercise(
    "policy.ratios",
    title="Whose ratio?",
    signature='ratios(logp: (B, T), old_logp: (B, T), mask: (B, T) bool, level: "token" or "sequence") -> (B, T)',
    solution="llmrl.policy.surrogate.ratios",
    minutes=10,
    difficulty=2,
    hints=(
        "Work with logarithms: logp - old_logp where the mask is True and 0 elsewhere, with torch.where. For "
        '"token" take exp at the end and you are done.',
        'For "sequence" replace each row by its sum over the answer divided by mask.sum(1, keepdim=True), the '
        "logarithm of the geometric mean. Give it to the answer's tokens, 0 to the others, and then take exp.",
    ),
    wrong=(
        Wrong(
            "nan minus nan times 0 is nan: choose with torch.where instead of multiplying by the mask",
            lambda logp, old, mask, level: _spread(
                (logp - old) * mask, mask, level, lambda x: x.sum(1, True) / mask.sum(1, True)
            ),
        ),
        Wrong(
            "padding was counted: the mean is over the answer's own tokens",
            lambda logp, old, mask, level: _spread(
                _log_ratio(logp, old, mask), mask, level, lambda x: x.mean(1, keepdim=True)
            ),
        ),
        Wrong(
            "that is the product of the ratios; GSPO takes its T-th root, the mean of the logarithms",
            lambda logp, old, mask, level: _spread(
                _log_ratio(logp, old, mask), mask, level, lambda x: x.sum(1, keepdim=True)
            ),
        ),
        Wrong(
            "this is the plain mean of the ratios; the geometric mean averages their logarithms",
            lambda logp, old, mask, level: _spread(
                _log_ratio(logp, old, mask), mask, level,
                lambda x: (torch.where(mask, x.exp(), 0.0).sum(1, True) / mask.sum(1, True)).log(),
            ),
        ),
        Wrong(
            "the ratio is turned over: the new policy's probability is on top",
            lambda logp, old, mask, level: _spread(
                -_log_ratio(logp, old, mask), mask, level, lambda x: x.sum(1, True) / mask.sum(1, True)
            ),
        ),
        Wrong(
            "the logarithm came out; take exp at the end",
            lambda logp, old, mask, level: _spread(
                _log_ratio(logp, old, mask), mask, level, lambda x: x.sum(1, True) / mask.sum(1, True)
            ).log(),
        ),
        Wrong(
            "one mean for the whole batch came out; each answer has its own",
            lambda logp, old, mask, level: _spread(
                _log_ratio(logp, old, mask), mask, level, lambda x: (x.sum() / mask.sum()).view(1, 1)
            ),
        ),
    ),
)  # fmt: skip
def ratios(answer, solution):
    for level in ("token", "sequence"):
        case = LOGP, OLD, MASK, level
        yield differs(answer(*case), solution(*case), f'with level="{level}", on answers of 3, 1 and 2 tokens')
