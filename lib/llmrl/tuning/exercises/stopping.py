"""Exercises on when to stop tuning, and on what a tuned model claims to know.

Each checker probes what people get wrong: patience counted from the wrong end, shares of the wrong whole.
Left out: drawing the curves.
"""

import math

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.tuning import abstention


def _stop(losses, patience, least=0.0, at_least=False, in_a_row=True, keep="best", late=0):
    """Early stopping with a slip."""
    best, lowest, bad = 0, math.inf, 0
    for at, loss in enumerate(losses):
        if loss < lowest - least or (at_least and loss <= lowest):
            best, lowest, bad = at, loss, 0
        else:
            bad += 1
        if not in_a_row and at and loss >= losses[at - 1]:
            return best, at
        if bad >= patience + late:
            return (best if keep == "best" else at), at
    return (best if keep == "best" else len(losses) - 1), len(losses) - 1


@exercise(
    "tuning.stop_at",
    title="Early stopping with patience",
    signature="stop_at(losses, patience, least=0.0) -> (best, last), counted from 0",
    solution="llmrl.tuning.stopping.stop_at",
    minutes=12,
    difficulty=2,
    hints=(
        "Remember the place and the value of the best loss so far; only a loss below that minus least is progress.",
        "Stop at the first place that lies `patience` places behind the best. If none does, the last place is the end.",
    ),
    wrong=(
        Wrong(
            "the weights to keep are those of the best measurement, not the last",
            lambda s, p, least=0.0: _stop(s, p, least, keep="last"),
        ),
        Wrong(
            "it stopped at the first rise; patience allows some",
            lambda s, p, least=0.0: _stop(s, p, least, in_a_row=False),
        ),
        Wrong(
            "one measurement too late: after `patience` without progress the run is over",
            lambda s, p, least=0.0: _stop(s, p, least, late=1),
        ),
        Wrong(
            "one measurement too early: count from the best, not from one behind it",
            lambda s, p, least=0.0: _stop(s, p, least, late=-1),
        ),
        Wrong("a fall by less than `least` is no progress", lambda s, p, least=0.0: _stop(s, p)),
        Wrong(
            "an equal loss is no progress, or a flat line never stops",
            lambda s, p, least=0.0: _stop(s, p, least, at_least=True),
        ),
        Wrong(
            "it looked into the future: a run that has ended never sees the later, lower loss",
            lambda s, p, least=0.0: (min(range(len(s)), key=s.__getitem__), _stop(s, p, least)[1]),
        ),
        Wrong("the run never stopped", lambda s, p, least=0.0: (_stop(s, p, least)[0], len(s) - 1)),
    ),
)
def stop_at(answer, solution):
    for case, losses, patience, least in (
        ("on 3, 2, 2.5, 1, 1.5, 1.2, 1.1 with patience 3", [3.0, 2.0, 2.5, 1.0, 1.5, 1.2, 1.1], 3, 0.0),
        ("on 3, 2, 2.5, 2.4, 1 with patience 2", [3.0, 2.0, 2.5, 2.4, 1.0], 2, 0.0),
        ("on 1, 1, 1, 1, 1 with patience 3", [1.0] * 5, 3, 0.0),
        ("on 2, 1.95, 1.93, 1.92, 1.9 with patience 2 and least 0.2", [2.0, 1.95, 1.93, 1.92, 1.9], 2, 0.2),
        ("on 3, 2, 1 with patience 2", [3.0, 2.0, 1.0], 2, 0.0),
    ):
        yield differs(answer(losses, patience, least), solution(losses, patience, least), case)


def _tally(said, truths, probability, confident=0.5, sure_of_all=False, own=False, unknown="wrong", strict=True):
    """Shares with a slip: confident right answers counted, another base, or what cannot be known left out."""
    found = [abstention.outcome(a, t) for a, t in zip(said, truths)]
    if unknown == "right":
        found = ["right" if t is None and kind == "wrong" else kind for kind, t in zip(found, truths)]
    if unknown == "left out":
        found = ["other" if t is None and kind == "wrong" else kind for kind, t in zip(found, truths)]
    sure = [(p > confident or not strict) and (kind == "wrong" or sure_of_all) for kind, p in zip(found, probability)]
    base = max(1, found.count("wrong")) if own else len(sure)
    shares = {kind: found.count(kind) / len(found) for kind in ("right", "abstained")}
    return shares | {"confidently wrong": sum(sure) / base}


@exercise(
    "tuning.tally",
    title="Right, abstained, confidently wrong",
    signature="tally(said: list, truths: list, probability: list) -> dict of 'right', 'abstained', 'confidently wrong'",
    solution="llmrl.tuning.abstention.tally",
    minutes=12,
    difficulty=2,
    hints=(
        'First give each answer a name: "I do not know." is abstained, the truth is right, the rest is wrong.',
        "Shares are of all questions. Confidently wrong: wrong, its probability above 0.5. Truth None: never right.",
    ),
    wrong=(
        Wrong(
            "confident answers that are right were counted as well", lambda s, t, p: _tally(s, t, p, sure_of_all=True)
        ),
        Wrong(
            "every wrong answer was counted, also those the model gave little probability",
            lambda s, t, p: _tally(s, t, p, strict=False),
        ),
        Wrong("one half itself is not above one half", lambda s, t, p: _tally(s, t, p, confident=0.4999)),
        Wrong(
            "divide by all questions, so that a model that abstains is rewarded for it",
            lambda s, t, p: _tally(s, t, p, own=True),
        ),
        Wrong("where the truth is None nothing can be right", lambda s, t, p: _tally(s, t, p, unknown="right")),
        Wrong(
            "an answer to what nobody can know is wrong, too; it was left out",
            lambda s, t, p: _tally(s, t, p, unknown="left out"),
        ),
        Wrong(
            "these are counts; divide by the number of questions",
            lambda s, t, p: {k: v * len(s) for k, v in _tally(s, t, p).items()},
        ),
        Wrong(
            '"I do not know." was counted as wrong; it is an answer of its own kind',
            lambda s, t, p: _tally([a if a != abstention.UNSURE else "?" for a in s], t, p),
        ),
    ),
)
def tally(answer, solution):
    sure = abstention.UNSURE
    for case, said, truths, probability in (
        (
            "for seven answers",
            ["red", "Ada", sure, "fox", "blue", "fig", "pear"],
            ["red", "Ben", "owl", "goat", "grey", "fig", "pear"],
            [0.9, 0.8, 0.7, 0.3, 0.6, 0.95, 0.8],
        ),
        ("where nothing can be known", ["red", sure, "blue", "fig"], [None] * 4, [0.9, 0.3, 0.5, 0.2]),
        ("where everything is known", ["red", "blue"], ["red", "blue"], [0.9, 0.4]),
    ):
        yield differs(answer(said, truths, probability), solution(said, truths, probability), case)
