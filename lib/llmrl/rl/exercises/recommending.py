"""Exercises on recommending: the score of LinUCB for a context, and the pick from a slate.

Each checker probes what people get wrong: a variance for a standard error, b taken for the estimate, a null item
forgotten or put in the wrong place. Left out: the neural bandit and SlateQ's update, which need a run to judge.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _linear(x, inverse, b, alpha, width):
    theta = np.einsum("aij,aj->ai", inverse, b)
    return theta @ x + alpha * width(np.einsum("i,aij,j->a", x, inverse, x))


@exercise(
    "rl.linucb_scores",
    title="The score of LinUCB",
    signature="linucb_scores(x: (D,), inverse: (A, D, D), b: (A, D), alpha) -> (A,)",
    solution="llmrl.rl.contextual.linucb_scores",
    minutes=12,
    difficulty=2,
    hints=(
        "inverse @ x is (A, D): one vector per arm. Times b, summed over D, it is the estimate (inverse is symmetric).",
        "The same vector's product with x, summed over D, is the variance: take its root, times alpha.",
    ),
    wrong=(
        Wrong(
            "the root is missing: a standard error, not a variance", lambda x, i, b, a: _linear(x, i, b, a, lambda v: v)
        ),
        Wrong(
            "alpha went under the root",
            lambda x, i, b, a: _linear(x, i, b, 1, lambda v: np.sqrt(a * v)),
        ),
        Wrong(
            "the bonus was subtracted, which avoids what is unknown", lambda x, i, b, a: _linear(x, i, b, -a, np.sqrt)
        ),
        Wrong("the bonus is missing: this is the estimate alone", lambda x, i, b, a: _linear(x, i, b, 0, np.sqrt)),
        Wrong(
            "b is not yet theta: multiply it by the inverse",
            lambda x, i, b, a: b @ x + a * np.sqrt(np.einsum("i,aij,j->a", x, i, x)),
        ),
        Wrong(
            "the bonus used the length of x alone; what the arm has seen is in its inverse",
            lambda x, i, b, a: np.einsum("aij,aj->ai", i, b) @ x + a * np.sqrt(x @ x),
        ),
        Wrong(
            "the inverse was inverted once more: it is given as the inverse already",
            lambda x, i, b, a: _linear(x, np.linalg.inv(i), b, a, np.sqrt),
        ),
    ),
)
def linucb_scores(answer, solution):
    grams = np.array([[[3.0, 1.0], [1.0, 2.0]], [[1.5, -0.5], [-0.5, 4.0]], [[2.0, 0.0], [0.0, 1.0]]])
    b = np.array([[1.0, -2.0], [0.5, 3.0], [0.0, 1.0]])
    x = np.array([1.0, -0.5])
    given = x, np.linalg.inv(grams), b, 1.5
    yield differs(answer(*given), solution(*given), "on three arms with two features")
    fresh = np.array([0.0, 2.0]), np.tile(np.eye(2), (2, 1, 1)), np.zeros((2, 2)), 0.5
    yield differs(answer(*fresh), solution(*fresh), "on two arms that were never pulled")


def _shares(weights):
    return weights / weights.sum(-1, keepdims=True)


def _joined(appeal, null):
    return np.concatenate([appeal, np.broadcast_to(null, appeal.shape[:-1])[..., None]], -1)


@exercise(
    "rl.choice_probabilities",
    title="Which item is picked from a slate",
    signature="choice_probabilities(appeal: (..., k), null: (...)) -> (..., k+1)",
    solution="llmrl.rl.slates.choice_probabilities",
    minutes=8,
    difficulty=1,
    hints=(
        "Set the null item's appeal behind the k others, then divide by their sum.",
        "null[..., None] gives it the axis of the slots; np.concatenate(..., -1); keepdims=True keeps the sum's axis.",
    ),
    wrong=(
        Wrong("the null item is missing: users may also pick nothing", lambda a, n: _shares(a)),
        Wrong(
            "the null item's chance was left out of the result; it comes last",
            lambda a, n: _shares(_joined(a, n))[..., :-1],
        ),
        Wrong("the null item comes last, not first", lambda a, n: np.roll(_shares(_joined(a, n)), 1, -1)),
        Wrong(
            "appeal went through exp once more: it is e to the power of the utility already",
            lambda a, n: _shares(np.exp(_joined(a, n))),
        ),
        Wrong(
            "the sum ran over all slates together; each slate is a choice of its own",
            lambda a, n: _joined(a, n) / _joined(a, n).sum(),
        ),
        Wrong(
            "each item was compared with the null item alone; the items of a slate compete with each other",
            lambda a, n: _joined(a, n) / (_joined(a, n) + np.asarray(n)[..., None]),
        ),
        Wrong("these are weights; divide by their sum to get chances", lambda a, n: _joined(a, n)),
    ),
)
def choice_probabilities(answer, solution):
    appeal, null = np.array([[1.0, 2.0, 0.5], [3.0, 0.1, 1.0]]), np.array([1.5, 0.4])
    yield differs(answer(appeal, null), solution(appeal, null), "on two slates of three items")
    one, nothing = np.array([0.7, 0.2]), np.array(2.0)
    yield differs(answer(one, nothing), solution(one, nothing), "on a single slate of two items")
