"""Exercises on bandits: what is counted as loss, and three ways to explore.

Each checker probes what people get wrong: the wrong yardstick, a square or a root that is missing, an arm never seen,
successes and failures exchanged. Left out: whole rules of play, which need luck to judge.
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


def _epsilon(t, arms, gap, c, power=2):
    return np.minimum(1.0, c * arms / (gap**power * t))


@exercise(
    "rl.epsilon_at",
    title="An epsilon that decays",
    signature="epsilon_at(t: from 1, arms, gap, c) -> chance, of t's shape",
    solution="llmrl.rl.arm_scores.epsilon_at",
    minutes=5,
    difficulty=1,
    hints=(
        "Put the formula down as it stands: c times the number of arms, over the squared gap times t.",
        "A chance is at most 1. np.minimum(1.0, ...) takes numbers and arrays alike.",
    ),
    wrong=(
        Wrong("a chance above 1 came out for small t: cut it at 1", lambda t, a, g, c: c * a / (g**2 * t)),
        Wrong("the gap goes in squared", lambda t, a, g, c: _epsilon(t, a, g, c, 1)),
        Wrong(
            "this decays like the root of 1/t, which explores more than it has to",
            lambda t, a, g, c: np.minimum(1.0, c * a / (g**2 * np.sqrt(t))),
        ),
        Wrong(
            "this decays like 1/t², whose sum is finite: exploration stops for good",
            lambda t, a, g, c: np.minimum(1.0, c * a / (g**2 * np.square(t))),
        ),
        Wrong("the number of arms is missing: each of them needs its share", lambda t, a, g, c: _epsilon(t, 1, g, c)),
        Wrong(
            "this is the chance to take the best arm; epsilon is the other one",
            lambda t, a, g, c: 1 - _epsilon(t, a, g, c),
        ),
        Wrong("c belongs above the line", lambda t, a, g, c: np.minimum(1.0, a / (c * g**2 * t))),
        Wrong("t counts from 1 here; it was counted from 0", lambda t, a, g, c: _epsilon(t + 1, a, g, c)),
    ),
)
def epsilon_at(answer, solution):
    t = np.array([1, 10, 100, 1000, 10000])
    yield differs(answer(t, 3, 0.5, 5.0), solution(t, 3, 0.5, 5.0), "at t = 1, 10, ... with 3 arms, gap 0.5, c = 5")
    yield differs(answer(70, 2, 0.1, 0.2), solution(70, 2, 0.1, 0.2), "at t = 70 with 2 arms, gap 0.1 and c = 0.2")


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
    "rl.beta_posterior",
    title="What Thompson sampling believes",
    signature="beta_posterior(pulls: (N, A), sums: (N, A)) -> (N, A), (N, A)",
    solution="llmrl.rl.arm_scores.beta_posterior",
    minutes=5,
    difficulty=1,
    hints=(
        "Before any pull the belief is Beta(1, 1), every mean equally likely. sums counts the successes.",
        "A success adds 1 to the first number, a failure to the second; failures are pulls - sums.",
    ),
    wrong=(
        Wrong("successes and failures changed places", lambda n, s: (1.0 + n - s, 1.0 + s)),
        Wrong("without the ones of Beta(1, 1) an arm never pulled has no belief", lambda n, s: (s, n - s)),
        Wrong("the second number counts failures, not pulls", lambda n, s: (1.0 + s, 1.0 + n)),
        Wrong(
            "this starts at Beta(1/2, 1/2), Jeffreys' choice, which prefers means near 0 and 1",
            lambda n, s: (0.5 + s, 0.5 + n - s),
        ),
        Wrong("the first number counts successes, not pulls", lambda n, s: (1.0 + n, 1.0 + n - s)),
        Wrong(
            "this is the mean of the belief and its remainder; the two counts are wanted",
            lambda n, s: ((1 + s) / (2 + n), 1 - (1 + s) / (2 + n)),
        ),
    ),
)
def beta_posterior(answer, solution):
    pulls, sums = np.array([[4.0, 10.0, 0.0], [1.0, 15.0, 5.0]]), np.array([[1.0, 8.0, 0.0], [0.0, 9.0, 4.0]])
    yield differs(answer(pulls, sums), solution(pulls, sums), "on two seeds of three arms")
