"""Exercises on supervised tuning: which tokens are learned, and what they cost.

Each checker probes what people get wrong: the stop token, the shift, the axis of the mean.
Left out: the training loop, which is pre-training's.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

START, END, USER, ASSISTANT, BREAK = 2, 3, 60, 61, 10  # ids in the cases below


def _mask(ids, header, stop, behind=0, with_stop=True, first=False, past=False):
    """Answers found with a slip: begun `behind` tokens late, without the stop, the first one only, or never ended."""
    mask, answering, done = [], False, False
    for at, i in enumerate(ids):
        begin = at - behind - len(header)
        answering = answering or (not (first and done) and begin >= 0 and ids[begin : begin + len(header)] == header)
        done = done or answering
        mask.append(answering and (with_stop or i != stop))
        answering = answering and (past or i != stop)
    return mask


@exercise(
    "tuning.answer_mask",
    title="Which tokens are the answer",
    signature="answer_mask(ids: list, header: list, stop: int) -> list of bool",
    solution="llmrl.tuning.labels.answer_mask",
    minutes=10,
    difficulty=2,
    hints=(
        "Walk over the ids with a flag: it goes up when the tokens just before this one are the header.",
        "Write the flag down for the token, and only then take it down if the token was the stop.",
    ),
    wrong=(
        Wrong(
            "the stop token is part of the answer, or the model never learns to stop",
            lambda i, h, s: _mask(i, h, s, with_stop=False),
        ),
        Wrong(
            "the header is given to the model and not learned; begin behind it",
            lambda i, h, s: _mask(i, h, s, behind=-len(h)),
        ),
        Wrong(
            "the first token of the answer is missing: it follows the header at once",
            lambda i, h, s: _mask(i, h, s, behind=1),
        ),
        Wrong(
            "a conversation may hold several answers; only the first was marked",
            lambda i, h, s: _mask(i, h, s, first=True),
        ),
        Wrong("the answer ended with its stop token, and the mask went on", lambda i, h, s: _mask(i, h, s, past=True)),
        Wrong(
            "every message was marked, also the user's: look for the whole header, not for its first token",
            lambda i, h, s: _mask(i, h[:1], s, behind=len(h) - 1),
        ),
        Wrong(
            "this is the mask turned round: True is for what is learned",
            lambda i, h, s: [not m for m in _mask(i, h, s)],
        ),
        Wrong("all tokens were marked", lambda i, h, s: [True] * len(i)),
    ),
)
def answer_mask(answer, solution):
    header = [START, ASSISTANT, BREAK]
    question, reply = [START, USER, BREAK, 20, 21, END, BREAK], [*header, 30, 31, END, BREAK]
    for case, ids in {
        "for a question and its answer": question + reply,
        "for two of each": question + reply + question + reply,
        "for an answer that was cut off": question + reply[:5],
        "for a question alone": question,
        "for a header with nothing behind it": question + header,
    }.items():
        yield differs(answer(ids, header, END), solution(ids, header, END), case)


@exercise(
    "tuning.labels",
    title="Labels from ids and a mask",
    signature="labels(ids: (B, T), mask: (B, T) bool) -> (B, T), -100 on what is not learned",
    solution="llmrl.tuning.labels.labels",
    minutes=5,
    difficulty=1,
    hints=(
        "Labels lie over the ids: the same id where the mask is True, -100 elsewhere. No shift here.",
        "torch.where(mask, ids, -100), or ids.masked_fill(~mask, -100).",
    ),
    wrong=(
        Wrong("the mask was turned round: it is True on what is learned", lambda i, m: i.masked_fill(m, -100)),
        Wrong(
            "the labels were shifted; libraries shift in the loss, and shifting twice skips a token",
            lambda i, m: torch.where(m, i, -100).roll(-1, 1),
        ),
        Wrong("0 is the id of a token; the mark of an ignored label is -100", lambda i, m: i * m),
        Wrong(
            "-1 is not what cross_entropy ignores unless it is told; the mark is -100",
            lambda i, m: torch.where(m, i, -1),
        ),
        Wrong("the learned tokens were cut out; labels keep the shape of the ids", lambda i, m: i[m]),
        Wrong("nothing was masked", lambda i, m: i.clone()),
        Wrong("labels are whole numbers; these were made floats", lambda i, m: torch.where(m, i.float(), -100.0)),
    ),
)
def labels(answer, solution):
    ids = torch.tensor([[7, 8, 9, 5], [4, 0, 6, 2]])
    mask = torch.tensor([[False, False, True, True], [False, True, True, False]])
    yield differs(answer(ids, mask), solution(ids, mask), "for two rows of four")
    yield differs(answer(ids, ~mask), solution(ids, ~mask), "for the same rows, the other tokens learned")


def _loss(logits, labels, shift=1, mean="tokens", negative=True):
    """The loss with a slip in the shift or in the mean."""
    ahead, logits = labels[:, shift:], logits[:, : labels.shape[1] - shift]
    cost = F.cross_entropy(logits.transpose(1, 2), ahead, ignore_index=-100, reduction="none")  # 0 where ignored
    learned = ahead != -100
    if mean == "tokens":
        value = cost.sum() / learned.sum()
    elif mean == "rows":
        value = (cost.sum(1) / learned.sum(1).clamp(min=1)).mean()
    elif mean == "all":
        value = cost.mean()
    else:
        value = cost.sum()
    return value if negative else -value


@exercise(
    "tuning.shifted_loss",
    title="The loss over labelled tokens",
    signature="shifted_loss(logits: (B, T, V), labels: (B, T)) -> a tensor of shape ()",
    solution="llmrl.tuning.labels.shifted_loss",
    minutes=12,
    difficulty=2,
    hints=(
        "logits[:, :-1] are the guesses at labels[:, 1:]. Take log-probabilities and pick each label's own.",
        "-100 cannot be an index: replace it first, and leave those places out of the mean.",
    ),
    wrong=(
        Wrong("the scores at a position guess the token after it; nothing was shifted", lambda g, y: _loss(g, y, 0)),
        Wrong("shifted twice: a token was skipped", lambda g, y: _loss(g, y, 2)),
        Wrong(
            "every row weighed the same; here every labelled token does, so long answers count for more",
            lambda g, y: _loss(g, y, mean="rows"),
        ),
        Wrong(
            "the sum was divided by all positions; divide by the labelled ones", lambda g, y: _loss(g, y, mean="all")
        ),
        Wrong("a sum grows with the batch; take the mean over labelled tokens", lambda g, y: _loss(g, y, mean="sum")),
        Wrong("the sign is off: a loss is minus the log-probability", lambda g, y: _loss(g, y, negative=False)),
        Wrong("-100 was read as the id 0 and learned", lambda g, y: _loss(g, y.clamp(min=0))),
    ),
)
def shifted_loss(answer, solution):
    logits = torch.sin(torch.arange(40.0) * 1.7).view(2, 4, 5) * 2
    for case, y in {
        "on one row with two labels": torch.tensor([[-100, -100, 3, 1]]),
        "on two rows of unequal answers": torch.tensor([[-100, 2, 3, 1], [-100, -100, 4, -100]]),
        "where the first token is labelled, too": torch.tensor([[2, 2, 0, 1], [1, -100, 4, -100]]),
    }.items():
        yield differs(answer(logits[: len(y)], y), solution(logits[: len(y)], y), case)
