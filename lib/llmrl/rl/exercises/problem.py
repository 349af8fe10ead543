"""Exercises on chains, decisions and the past.

Each checker probes what people get wrong: rows and columns of a chain, a rhythm that never settles, chances that were
added up without their weights, and a comparison that forgets the present.
Left out: returns and rewards, which have exercises of their own.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.rl.mdp import MDP

WEATHER = np.array([[0.8, 0.2, 0.0], [0.3, 0.4, 0.3], [0.1, 0.6, 0.3]])
RHYTHM = np.array([[0.0, 1.0, 0.0], [0.25, 0.0, 0.75], [0.0, 1.0, 0.0]])  # every second step in the middle


def _powers(P, rounds, start=None):
    start = np.eye(len(P))[0] if start is None else start
    return start @ np.linalg.matrix_power(P, rounds)


def _eigenvector(P):
    values, vectors = np.linalg.eig(P)  # of P, and not of its transpose
    vector = np.real(vectors[:, np.real(values).argmax()])
    return vector / vector.sum()


def _long_run(P):
    return _powers((P + np.eye(len(P))) / 2, 1000)


@exercise(
    "rl.stationary",
    title="Where a chain spends its time",
    signature="stationary(P: (S, S)) -> (S,)",
    solution="llmrl.rl.chains.stationary",
    minutes=12,
    difficulty=2,
    hints=(
        "mu P = mu is S equations, (P.T - I) mu = 0, and one of them follows from the others. The sum of mu is 1.",
        "Put a row of ones in the place of the last equation, and a 1 in the last place on the right; then solve.",
    ),
    wrong=(
        Wrong("P was multiplied many times, which never settles in a chain with a rhythm", lambda P: _powers(P, 1000)),
        Wrong(
            "the average went over columns; a state that many lead to is not yet one where time is spent",
            lambda P: P.mean(0),
        ),
        Wrong(
            "every state got the same share: that is what P leaves alone on its right; mu stands on its left: P.T",
            _eigenvector,
        ),
        Wrong("two or three steps are not yet the long run", lambda P: _powers(P, 3, np.full(len(P), 1 / len(P)))),
        Wrong("a distribution adds up to one", lambda P: np.sqrt(len(P)) * _long_run(P)),
        Wrong(
            "the last equation was kept and the sum left out; without it zero solves everything",
            lambda P: np.zeros(len(P)),
        ),
    ),
)
def stationary(answer, solution):
    yield differs(answer(WEATHER), solution(WEATHER), "on a chain of three states")
    two = np.array([[0.9, 0.1], [0.5, 0.5]])
    yield differs(answer(two), solution(two), "on a chain of two states")
    yield differs(answer(RHYTHM), solution(RHYTHM), "on a chain that is in its middle state every second step")
    one = np.array([[1.0]])
    yield differs(answer(one), solution(one), "on a single state")


SHOP = MDP.checked(
    [[[0.7, 0.3, 0.0], [1.0, 0.0, 0.0]], [[0.0, 0.5, 0.5], [0.9, 0.1, 0.0]], [[0.0, 0.0, 1.0], [0.6, 0.0, 0.4]]],
    [[[2.0, 1.0, 0.0], [-1.0, 0.0, 0.0]], [[0.0, 1.0, -3.0], [-1.0, -2.0, 0.0]], [[0.0, 0.0, 0.0], [-4.0, 0.0, -5.0]]],
)
HESITANT = np.array([[0.9, 0.1], [0.4, 0.6], [0.25, 0.75]])


def _paid(mdp):
    return (mdp.P * mdp.R).sum(-1)


@exercise(
    "rl.chain",
    title="A policy turns a decision process into a chain",
    signature="chain(mdp with .P (S, A, S) and .R (S, A, S), policy: (S, A)) -> (S, S), (S,)",
    solution="llmrl.rl.mdp.chain",
    minutes=8,
    difficulty=2,
    hints=(
        "From s one gets to t by any action: add up policy[s, a] times P[s, a, t] over a: one np.einsum.",
        "The reward of a pair (s, a) is the mean over next states, (P * R).sum(-1); then weigh by the policy again.",
    ),
    wrong=(
        Wrong(
            "all actions counted alike; the policy says how often each is taken",
            lambda m, p: (m.P.mean(1), _paid(m).mean(1)),
        ),
        Wrong(
            "only the likeliest action was followed; the others happen as well",
            lambda m, p: (m.P[range(len(p)), p.argmax(1)], _paid(m)[range(len(p)), p.argmax(1)]),
        ),
        Wrong(
            "rewards were weighed by the policy and not by where the action leads",
            lambda m, p: (np.einsum("sa,sat->st", p, m.P), np.einsum("sa,sat->s", p, m.R)),
        ),
        Wrong(
            "the chain came out transposed: a row says where one goes from a state",
            lambda m, p: (np.einsum("sa,sat->ts", p, m.P), (p * _paid(m)).sum(1)),
        ),
        Wrong(
            "the policy of the next state was used; the action is chosen where one is",
            lambda m, p: (np.einsum("ta,sat->st", p, m.P), (p * _paid(m)).sum(1)),
        ),
        Wrong("the order is chain first, rewards second", lambda m, p: ((p * _paid(m)).sum(1), _mixed(m, p))),
        Wrong(
            "the rewards kept their column of next states; one number per state is wanted",
            lambda m, p: (_mixed(m, p), np.einsum("sa,sat,sat->st", p, m.P, m.R)),
        ),
    ),
)
def chain(answer, solution):
    yield differs(answer(SHOP, HESITANT), solution(SHOP, HESITANT), "on three states and two actions")
    sure = np.eye(2)[[0, 1, 1]]
    yield differs(answer(SHOP, sure), solution(SHOP, sure), "for a policy that never hesitates")


def _mixed(mdp, policy):
    return np.einsum("sa,sat->st", policy, mdp.P)


def _count(*columns):
    """How often each row's combination occurs, beside the row; 1 row in all when there is no column."""
    rows = np.stack(columns)
    return (rows[:, :, None] == rows[:, None]).all(0).sum(1)


def _g(b, s, a, factor=2.0, total=np.sum):
    return factor * total(np.log(_count(b, s, a) * _count(s) / (_count(b, s) * _count(s, a))))


@exercise(
    "rl.g_statistic",
    title="What the past adds to the present",
    signature="g_statistic(before: (N,), now: (N,), after: (N,) whole numbers) -> a number",
    solution="llmrl.rl.markov_test.g_statistic",
    minutes=12,
    difficulty=2,
    hints=(
        "For each triple count the triples equal to it, and those that share its (x, y), its (y, z) and its y.",
        "tally(before, now), which you can import, gives such a count beside every row. Then 2 * log(...) and sum.",
    ),
    wrong=(
        Wrong(
            "the present is missing: this compares before and after among all triples, and a chain fails it, too",
            lambda b, s, a: 2 * np.log(_count(b, a) * len(b) / (_count(b) * _count(a))).sum(),
        ),
        Wrong(
            "n(y) is missing from the ratio: (x, y) and (y, z) are both shares of the triples with this present",
            lambda b, s, a: 2 * np.log(_count(b, s, a) * len(s) / (_count(b, s) * _count(s, a))).sum(),
        ),
        Wrong("the factor 2 is missing, which makes it follow the chi-squared law", lambda b, s, a: _g(b, s, a, 1.0)),
        Wrong("the ratio is upside down, and the sign with it", lambda b, s, a: _g(b, s, a, -2.0)),
        Wrong(
            "the logs were averaged; their sum grows with the data, as evidence does",
            lambda b, s, a: _g(b, s, a, total=np.mean),
        ),
        Wrong(
            "each kind of triple was counted once; the sum runs over all triples",
            lambda b, s, a: (
                2 * (np.log(_count(b, s, a) * _count(s) / (_count(b, s) * _count(s, a))) / _count(b, s, a)).sum()
            ),
        ),
        Wrong("the roles of before and now were exchanged: the condition is the present", lambda b, s, a: _g(s, b, a)),
    ),
)
def g_statistic(answer, solution):
    three = np.array([0, 0, 0, 1, 1, 1, 1, 0]), np.array([0, 0, 1, 1, 1, 0, 0, 0]), np.array([1, 1, 0, 1, 0, 0, 0, 0])
    yield differs(answer(*three), solution(*three), "on eight triples of zeros and ones")
    more = tuple(np.array([[0, 2, 1, 1, 2, 0], [3, 3, 3, 0, 0, 3], [1, 0, 0, 2, 1, 1]]))
    yield differs(answer(*more), solution(*more), "on six triples of states 0 to 3")
    nothing = tuple(np.array([[0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]]))
    yield differs(answer(*nothing), solution(*nothing), "where the state before says nothing")
