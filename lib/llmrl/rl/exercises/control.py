"""Exercises on learning what to do with a table of action values.

Each checker probes what people get wrong: an ended episode that still has a future, which of two actions or tables is
read, chances that do not sum to one, ties, and a bonus that grows with habit.
Left out: the loop around the targets, which the lesson shows.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

NEXT = np.array([[1.0, 5.0, -2.0], [0.0, 4.0, 8.0], [3.0, -7.0, -9.0], [6.0, 6.5, -1.0]])
OTHER = np.array([[2.0, -3.0, 9.0], [7.0, 1.0, 0.5], [-4.0, 6.0, 2.0], [0.25, 1.5, 3.0]])
CHANCES = np.array([[0.5, 0.2, 0.3], [0.1, 0.2, 0.7], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]])
PAID = np.array([1.0, -1.0, 0.5, 2.0])
ENDS = np.array([False, False, True, False])
NO_END = np.zeros(4, bool)


def _after(rewards, worth, terminated, gamma):
    return rewards + gamma * np.where(terminated, 0.0, worth)


def _best(q):
    return q.argmax(-1)[:, None]


def _at(q, actions):
    return np.take_along_axis(q, actions, -1)[:, 0]


@exercise(
    "rl.epsilon_chances",
    title="Mostly the best action, sometimes any",
    signature="epsilon_chances(q: (N, A), epsilon: (N,)) -> (N, A)",
    solution="llmrl.rl.control.epsilon_chances",
    minutes=8,
    difficulty=1,
    hints=(
        "Start with epsilon / A everywhere: the random action may be any of them, the best one included.",
        "best = q == q.max(-1, keepdims=True); divide it by how many there are; epsilon[:, None] lines up with rows.",
    ),
    wrong=(
        Wrong(
            "the random action was never the best one; it may be any of them, so the best gets epsilon / A more",
            lambda q, e: np.where(q == q.max(-1, keepdims=True), 1 - e[:, None], e[:, None] / max(q.shape[-1] - 1, 1)),
        ),
        Wrong(
            "the first of several equal actions got everything; in a table that begins with zeros all are equal",
            lambda q, e: (1 - e[:, None]) * np.eye(q.shape[-1])[q.argmax(-1)] + e[:, None] / q.shape[-1],
        ),
        Wrong(
            "equal actions got 1 - epsilon each; the chances of a row sum to one",
            lambda q, e: (1 - e[:, None]) * (q == q.max(-1, keepdims=True)) + e[:, None] / q.shape[-1],
        ),
        Wrong(
            "epsilon and 1 - epsilon have changed places: with epsilon 0 the best action is certain",
            lambda q, e: e[:, None] * _shared(q) + (1 - e[:, None]) / q.shape[-1],
        ),
        Wrong(
            "epsilon was given to every action; it is shared among all A",
            lambda q, e: (1 - e[:, None]) * _shared(q) + e[:, None],
        ),
        Wrong(
            "one epsilon was used for all rows; every seed has its own",
            lambda q, e: (1 - e[0]) * _shared(q) + e[0] / q.shape[-1],
        ),
    ),
)
def epsilon_chances(answer, solution):
    q = np.array([[1.0, 5.0, -2.0, 0.0], [3.0, 3.0, 1.0, 2.0], [0.0, 0.0, 0.0, 0.0]])
    for epsilon, case in (
        (np.array([0.2, 0.2, 0.2]), "with epsilon 0.2, where the second row has two best actions and the third four"),
        (np.array([0.1, 0.5, 0.9]), "with an epsilon for every row"),
        (np.zeros(3), "with epsilon 0"),
        (np.ones(3), "with epsilon 1"),
    ):
        yield differs(answer(q, epsilon), solution(q, epsilon), case)


def _shared(q):
    best = q == q.max(-1, keepdims=True)
    return best / best.sum(-1, keepdims=True)


@exercise(
    "rl.q_learning_target",
    title="Q-learning's target",
    signature="q_learning_target(rewards: (N,), next_q: (N, A), terminated: (N,) bool, gamma) -> (N,)",
    solution="llmrl.rl.control.q_learning_target",
    minutes=6,
    difficulty=1,
    hints=(
        "Q-learning looks ahead as if the best action came next: the largest entry of each row of next_q.",
        "Where the step terminated nothing comes: np.where(terminated, 0.0, ...).",
    ),
    wrong=(
        Wrong("a terminated episode was given a future", lambda r, q, d, g: r + g * q.max(-1)),
        Wrong("gamma is missing: what comes later counts for less", lambda r, q, d, g: _after(r, q.max(-1), d, 1.0)),
        Wrong(
            "the mean over actions was taken, as if one acted at random", lambda r, q, d, g: _after(r, q.mean(-1), d, g)
        ),
        Wrong("the best action's number came back and not its value", lambda r, q, d, g: _after(r, q.argmax(-1), d, g)),
        Wrong("one maximum was taken for all seeds; each row has its own", lambda r, q, d, g: _after(r, q.max(), d, g)),
        Wrong(
            "the last reward was dropped together with the future: a terminated step is still paid",
            lambda r, q, d, g: np.where(d, 0.0, r + g * q.max(-1)),
        ),
        Wrong("the flag is the wrong way round", lambda r, q, d, g: _after(r, q.max(-1), ~d, g)),
    ),
)
def q_learning_target(answer, solution):
    for rewards, next_q, ends, gamma, case in (
        (PAID, NEXT, NO_END, 0.5, "on four steps that go on"),
        (PAID, NEXT, ENDS, 0.9, "where the third step terminates"),
        (PAID[:1], NEXT[:1, :1], ENDS[:1], 0.9, "with a single action"),
    ):
        yield differs(answer(rewards, next_q, ends, gamma), solution(rewards, next_q, ends, gamma), case)


@exercise(
    "rl.expected_sarsa_target",
    title="Expected SARSA's target",
    signature="expected_sarsa_target(rewards: (N,), next_q: (N, A), chances: (N, A), terminated: (N,), gamma) -> (N,)",
    solution="llmrl.rl.control.expected_sarsa_target",
    minutes=6,
    difficulty=1,
    hints=(
        "chances[n, a] says how likely action a is next, next_q[n, a] what it is worth: weigh and add along a row.",
        "Then as ever: the reward, gamma, and nothing to come where the step terminated.",
    ),
    wrong=(
        Wrong(
            "this is Q-learning's target: the best action will not always come",
            lambda r, q, c, d, g: _after(r, q.max(-1), d, g),
        ),
        Wrong("all actions counted alike; weigh each by its chance", lambda r, q, c, d, g: _after(r, q.mean(-1), d, g)),
        Wrong(
            "the likeliest action was taken for all of them",
            lambda r, q, c, d, g: _after(r, _at(q, _best(c)), d, g),
        ),
        Wrong("a terminated episode was given a future", lambda r, q, c, d, g: r + g * (c * q).sum(-1)),
        Wrong(
            "the weighted sum was divided by the number of actions once more",
            lambda r, q, c, d, g: _after(r, (c * q).mean(-1), d, g),
        ),
        Wrong("values were added up without their chances", lambda r, q, c, d, g: _after(r, q.sum(-1), d, g)),
        Wrong(
            "gamma is missing: what comes later counts for less",
            lambda r, q, c, d, g: _after(r, (c * q).sum(-1), d, 1.0),
        ),
    ),
)
def expected_sarsa_target(answer, solution):
    for ends, gamma, case in (
        (NO_END, 0.5, "on four steps that go on"),
        (ENDS, 0.9, "where the third step terminates"),
    ):
        given = PAID, NEXT, CHANCES, ends, gamma
        yield differs(answer(*given), solution(*given), case)


@exercise(
    "rl.count_bonus",
    title="A bonus for what was seldom tried",
    signature="count_bonus(counts: (N,), beta) -> (N,)",
    solution="llmrl.rl.exploration.count_bonus",
    minutes=5,
    difficulty=1,
    hints=(
        "beta over the root of the count; the fourth time pays half of the first.",
        "A count of 0 must not divide by zero: np.maximum(counts, 1). A count below 0 is a mistake: raise ValueError.",
    ),
    wrong=(
        Wrong(
            "the root is missing: this bonus is gone long before the noise of a mean is",
            lambda n, beta: beta / np.maximum(_kept(n), 1),
        ),
        Wrong("a count of 0 was divided by; count it as 1", lambda n, beta: _quiet(lambda: beta / np.sqrt(_kept(n)))),
        Wrong(
            "1 was added to every count; only a count of 0 is taken for 1", lambda n, beta: beta / np.sqrt(_kept(n) + 1)
        ),
        Wrong(
            "this pays for habit: the bonus has to fall with the count",
            lambda n, beta: beta * np.sqrt(np.maximum(_kept(n), 1)),
        ),
        Wrong("beta went under the root", lambda n, beta: np.sqrt(beta / np.maximum(_kept(n), 1))),
        Wrong(
            "a negative count was let through; raise ValueError, since it hides a mistake",
            lambda n, beta: beta / np.sqrt(np.maximum(n, 1)),
        ),
    ),
)
def count_bonus(answer, solution):
    counts = np.array([1, 4, 9, 100])
    yield differs(answer(counts, 2.0), solution(counts, 2.0), "on counts 1, 4, 9 and 100")
    counts = np.array([0, 1, 25])
    yield differs(answer(counts, 0.3), solution(counts, 0.3), "on counts 0, 1 and 25")
    try:
        answer.function(np.array([3, -1]), 1.0)
    except ValueError:
        return
    answer.last = (np.array([3, -1]), 1.0), {}, answer.function(np.array([3, -1]), 1.0)
    yield "a count of -1 should raise ValueError"


def _kept(counts):
    if (counts < 0).any():
        raise ValueError("counts must be 0 or more")
    return counts


def _quiet(compute):
    with np.errstate(divide="ignore"):
        return compute()


@exercise(
    "rl.double_q_target",
    title="Double Q-learning's target",
    signature="double_q_target(rewards: (N,), next_q: (N, A), other: (N, A), terminated: (N,) bool, gamma) -> (N,)",
    solution="llmrl.rl.control.double_q_target",
    minutes=8,
    difficulty=2,
    hints=(
        "next_q, the table that is about to change, says which action is best; other says what that action is worth.",
        "np.take_along_axis(other, next_q.argmax(-1)[:, None], -1)[:, 0]; nothing to come where the step terminated.",
    ),
    wrong=(
        Wrong(
            "this is Q-learning's target: the same table chose and rated",
            lambda r, q, o, d, g: _after(r, q.max(-1), d, g),
        ),
        Wrong("the other table did both, which is Q-learning again", lambda r, q, o, d, g: _after(r, o.max(-1), d, g)),
        Wrong(
            "the tables have changed places: the one that is updated chooses, the other rates",
            lambda r, q, o, d, g: _after(r, _at(q, _best(o)), d, g),
        ),
        Wrong(
            "the smaller of two maxima is another method (clipped double Q); here one chooses and one rates",
            lambda r, q, o, d, g: _after(r, np.minimum(q.max(-1), o.max(-1)), d, g),
        ),
        Wrong(
            "the mean of both tables chose and rated; then both share their luck",
            lambda r, q, o, d, g: _after(r, ((q + o) / 2).max(-1), d, g),
        ),
        Wrong("a terminated episode was given a future", lambda r, q, o, d, g: r + g * _at(o, _best(q))),
        Wrong(
            "gamma is missing: what comes later counts for less",
            lambda r, q, o, d, g: _after(r, _at(o, _best(q)), d, 1.0),
        ),
    ),
)
def double_q_target(answer, solution):
    for ends, gamma, case in (
        (NO_END, 0.5, "on four steps that go on"),
        (ENDS, 0.9, "where the third step terminates"),
    ):
        given = PAID, NEXT, OTHER, ends, gamma
        yield differs(answer(*given), solution(*given), case)
    same = PAID, NEXT, NEXT, ENDS, 0.9
    yield differs(answer(*same), solution(*same), "where both tables are the same")
