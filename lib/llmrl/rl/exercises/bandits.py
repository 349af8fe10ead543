"""Exercises on bandits: what is counted as loss, an upper bound, and pulls whose reward is still on its way.

Each checker probes what people get wrong: the wrong yardstick, a root that is missing, an arm never seen, a pull on its
way that counts as a failure. Left out: whole rules of play, which need luck to judge.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "rl.regret",
    title="Pseudo-regret",
    signature="regret(means: (A,), arms: (T, N) whole) -> (T, N)",
    solution="llmrl.rl.bandits.regret",
    minutes=5,
    difficulty=1,
    hints=(
        "Each pull costs the best mean minus the mean of the arm pulled. An array of whole numbers can index an array.",
        "(means.max() - means)[arms] has the shape of arms. Then add up along time, cumsum(0): seeds stay apart.",
    ),
    wrong=(
        Wrong("this is the cost of single pulls; regret adds them up over time", lambda m, a: (m.max() - m)[a]),
        Wrong("the costs were added up across seeds; time is axis 0", lambda m, a: (m.max() - m)[a].cumsum(1)),
        Wrong("these are the means earned; regret is what was lost against the best arm", lambda m, a: m[a].cumsum(0)),
        Wrong(
            "the sign is turned: the best arm comes first, minus the one pulled",
            lambda m, a: (m - m.max())[a].cumsum(0),
        ),
        Wrong(
            "the yardstick was the average arm; regret compares with the best",
            lambda m, a: (m.mean() - m)[a].cumsum(0),
        ),
        Wrong(
            "the yardstick was the best arm pulled so far; the best arm counts even when nobody found it",
            lambda m, a: (m[a].max(0) - m[a]).cumsum(0),
        ),
        Wrong(
            "axis was left out of cumsum, which flattens the seeds into one line",
            lambda m, a: (m.max() - m)[a].cumsum(),
        ),
        Wrong("this is the final sum; the curve over time is wanted", lambda m, a: (m.max() - m)[a].sum(0)),
    ),
)
def regret(answer, solution):
    means = np.array([0.2, 0.9, 0.6, 0.5])
    arms = np.array([[0, 2], [2, 3], [3, 2], [1, 0]])  # four steps of two seeds; the second never finds arm 1
    yield differs(answer(means, arms), solution(means, arms), "on four arms, four steps and two seeds")
    one = np.array([[1], [1], [0]])
    yield differs(answer(means - 1, one), solution(means - 1, one), "on one seed, with means below zero")


def _upper(pulls, sums, bonus, unseen=np.inf):
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(pulls > 0, sums / pulls + bonus(np.maximum(pulls, 1)), unseen)


@exercise(
    "rl.ucb1",
    title="The index of UCB1",
    signature="ucb1(pulls: (N, A), sums: (N, A), t) -> (N, A)",
    solution="llmrl.rl.arm_scores.ucb1",
    minutes=10,
    difficulty=2,
    hints=(
        "The mean is sums / pulls. The bonus is the root of 2 ln t over the pulls of that arm.",
        "An arm never pulled scores np.inf: np.where(pulls > 0, ..., np.inf), and divide by np.maximum(pulls, 1).",
    ),
    wrong=(
        Wrong("no root was taken", lambda n, s, t: _upper(n, s, lambda n: 2 * np.log(t) / n)),
        Wrong("the 2 belongs inside the root", lambda n, s, t: _upper(n, s, lambda n: 2 * np.sqrt(np.log(t) / n))),
        Wrong("the 2 under the root is missing", lambda n, s, t: _upper(n, s, lambda n: np.sqrt(np.log(t) / n))),
        Wrong(
            "the sum was taken for the mean: divide by the pulls",
            lambda n, s, t: _upper(n, s * n, lambda n: np.sqrt(2 * np.log(t) / n)),
        ),
        Wrong(
            "only the root was taken of the logarithm; the pulls belong under it as well",
            lambda n, s, t: _upper(n, s, lambda n: np.sqrt(2 * np.log(t)) / n),
        ),
        Wrong(
            "the logarithm is the natural one; this was another base",
            lambda n, s, t: _upper(n, s, lambda n: np.sqrt(2 * np.log10(t) / n)),
        ),
        Wrong(
            "the bonus was subtracted, which avoids what is unknown",
            lambda n, s, t: _upper(n, s, lambda n: -np.sqrt(2 * np.log(t) / n)),
        ),
        Wrong(
            "an arm never seen scored 0, so it may never be tried; give it infinity",
            lambda n, s, t: _upper(n, s, lambda n: np.sqrt(2 * np.log(t) / n), 0.0),
        ),
        Wrong(
            "an arm never seen became nan, 0 divided by 0; give it infinity",
            lambda n, s, t: _upper(n, s, lambda n: np.sqrt(2 * np.log(t) / n), np.nan),
        ),
    ),
)
def ucb1(answer, solution):
    pulls, sums = np.array([[4.0, 10.0, 7.0], [1.0, 15.0, 5.0]]), np.array([[1.0, 8.0, 2.0], [0.0, 9.0, 4.0]])
    yield differs(answer(pulls, sums, 22), solution(pulls, sums, 22), "on two seeds of three arms at t = 22")
    pulls, sums = np.array([[3.0, 0.0]]), np.array([[2.0, 0.0]])
    yield differs(answer(pulls, sums, 4), solution(pulls, sums, 4), "where an arm was never pulled")


@exercise(
    "rl.with_pending",
    title="Pulls that are still on their way",
    signature="with_pending(pulls: (N, A), sums: (N, A), chosen: (N, A)) -> counts (N, A), sums (N, A)",
    solution="llmrl.rl.arm_scores.with_pending",
    minutes=10,
    difficulty=2,
    hints=(
        "The new count is chosen where something is known of the arm, else 0: np.where(pulls > 0, chosen, 0).",
        "The new sum is the one that leaves the mean: sums / pulls times the new count. np.maximum(pulls, 1) is safe.",
    ),
    wrong=(
        Wrong("the sums stayed: every pull on its way counts like a failure", lambda n, s, c: (_told(n, c), s)),
        Wrong("nothing pending was counted", lambda n, s, c: (n, s)),
        Wrong(
            "every pull on its way was counted like a success",
            lambda n, s, c: (_told(n, c), np.where(n > 0, s + c - n, 0)),
        ),
        Wrong(
            "chosen counts all pulls made, those whose reward has come included: they went in twice",
            lambda n, s, c: (_told(n, n + c), _means(n, s) * _told(n, n + c)),
        ),
        Wrong("the second array holds means; sums are wanted", lambda n, s, c: (_told(n, c), _means(n, s))),
        Wrong(
            "only the pulls on their way were counted; those that have come belong in as well",
            lambda n, s, c: (_told(n, c - n), _means(n, s) * _told(n, c - n)),
        ),
        Wrong(
            "an arm of which no reward is known came out as tried and failed: leave its count at 0",
            lambda n, s, c: (c, _means(n, s) * c),
        ),
        Wrong("the two arrays changed places", lambda n, s, c: (_means(n, s) * _told(n, c), _told(n, c))),
    ),
)
def with_pending(answer, solution):
    pulls, sums = np.array([[4.0, 10.0, 5.0], [2.0, 8.0, 1.0]]), np.array([[1.0, 8.0, 0.0], [1.0, 2.0, 1.0]])
    chosen = np.array([[4.0, 20.0, 9.0], [14.0, 8.0, 3.0]])
    yield differs(answer(pulls, sums, chosen), solution(pulls, sums, chosen), "on two seeds of three arms")
    young = np.array([[3.0, 0.0]]), np.array([[2.0, 0.0]]), np.array([[5.0, 6.0]])
    yield differs(answer(*young), solution(*young), "where no reward of an arm is known yet")


def _told(pulls, counts):
    return np.where(pulls > 0, counts, 0)


def _means(pulls, sums):
    return sums / np.maximum(pulls, 1)
