"""Exercises on Monte Carlo and temporal differences.

Each checker probes what people get wrong: whose visit it is, an end that is not one, whose value is read, the power
of gamma, where a window stops. Left out: the loops around them, which are a few lines each.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.rl.td import td_target


def _visited_before(states):
    """(T, N) bool: an earlier row of the same column holds the same state."""
    times, players = range(len(states)), range(states.shape[1])
    return np.array([[(states[:t, n] == states[t, n]).any() for n in players] for t in times])


@exercise(
    "rl.first_visits",
    title="The first visit to a state",
    signature="first_visits(states: (T, N) whole numbers) -> (T, N) bool",
    solution="llmrl.rl.monte_carlo.first_visits",
    minutes=8,
    difficulty=1,
    hints=(
        "A player is in a state for the first time when none of its own earlier rows holds that state.",
        "For row t: ~(states[:t] == states[t]).any(0). Compare along time only; columns are different players.",
    ),
    wrong=(
        Wrong("every visit was marked; only the first of each state counts", lambda s: np.ones(s.shape, bool)),
        Wrong(
            "this marks the last visits; the first ones are asked",
            lambda s: ~_visited_before(s[::-1])[::-1],
        ),
        Wrong(
            "what one player has seen was held against another; each column is an episode of its own",
            lambda s: np.array([[s[t, n] not in s[:t] for n in range(s.shape[1])] for t in range(len(s))]),
        ),
        Wrong(
            "only the row before was looked at; an earlier visit counts as well",
            lambda s: np.concatenate([np.ones((1, s.shape[1]), bool), s[1:] != s[:-1]]),
        ),
        Wrong("True and False are exchanged: mark what is new", _visited_before),
        Wrong(
            "the first row was taken for unseen only, nothing after it; a new state may come at any time",
            lambda s: np.arange(len(s))[:, None] * np.ones(s.shape[1], int) == 0,
        ),
    ),
)
def first_visits(answer, solution):
    states = np.array([[0, 2], [1, 2], [0, 1], [3, 0], [1, 2], [1, 3]])
    yield differs(answer(states), solution(states), "on two episodes of six steps")
    yield differs(answer(states[:1]), solution(states[:1]), "on a single step")


VALUES = np.array([2.0, -1.0, 4.0, 3.0])
REWARDS = np.array([1.0, 0.5, -2.0, 3.0])
NEXT = np.array([5.0, 2.0, 7.0, -4.0])
OVER = np.array([False, True, False, True])


@exercise(
    "rl.td_error",
    title="The TD error",
    signature="td_error(values: (N,), rewards: (N,), next_values: (N,), terminated: (N,) bool, gamma) -> (N,)",
    solution="llmrl.rl.td.td_error",
    minutes=4,
    difficulty=1,
    hints=(
        "The target is r + gamma V(s'), and r alone where the step terminated. What is it more than V(s)?",
        "np.where(terminated, 0.0, next_values) is what comes next. A step cut by a time limit has terminated False.",
    ),
    wrong=(
        Wrong(
            "the guess for the state behind an end was added; after a terminated step nothing comes",
            lambda v, r, w, term, gamma: r + gamma * w - v,
        ),
        Wrong("the sign is turned: target minus value", lambda v, r, w, term, gamma: v - td_target(r, w, term, gamma)),
        Wrong(
            "gamma is missing: what comes later counts for less",
            lambda v, r, w, term, gamma: td_target(r, w, term, 1) - v,
        ),
        Wrong(
            "gamma went around the reward as well; the reward of this step is paid now",
            lambda v, r, w, term, gamma: gamma * (r + np.where(term, 0.0, w)) - v,
        ),
        Wrong("this is the target; its error is what it says more than V(s)", lambda v, *rest: td_target(*rest)),
        Wrong(
            "the reward of the last step was thrown away together with what follows it",
            lambda v, r, w, term, gamma: np.where(term, 0.0, r + gamma * w) - v,
        ),
        Wrong(
            "a terminated step was given no error at all; it teaches most, since its target holds no guess",
            lambda v, r, w, term, gamma: np.where(term, 0.0, r + gamma * w - v),
        ),
        Wrong(
            "terminated was read the wrong way round: the guess is left out where it is True",
            lambda v, r, w, term, gamma: td_target(r, w, ~term, gamma) - v,
        ),
    ),
)
def td_error(answer, solution):
    case = VALUES, REWARDS, NEXT, OVER, 0.5
    yield differs(answer(*case), solution(*case), "on four transitions, two of which terminated")
    none = VALUES, REWARDS, NEXT, np.zeros(4, bool), 0.9
    yield differs(answer(*none), solution(*none), "where no step terminated, whether cut by a limit or not")


def _n_step(r, w, term, n, gamma, power=lambda m: m, over=lambda ended: ended):
    """The double loop, with the places where people go wrong as arguments."""
    out = np.zeros(r.shape)
    for t in range(len(r)):
        total, m = 0.0, 0
        for k in range(t, min(t + n, len(r))):
            total, m = total + gamma**m * r[k], m + 1
            if term[k]:
                break
        last = t + m - 1
        out[t] = total + (0.0 if over(term[last]) else gamma ** power(m) * w[last])
    return out


@exercise(
    "rl.n_step_returns",
    title="n-step returns",
    signature="n_step_returns(rewards: (T,), next_values: (T,), terminated: (T,) bool, n, gamma) -> (T,)",
    solution="llmrl.rl.td.n_step_returns",
    minutes=12,
    difficulty=2,
    hints=(
        "n = 1 is the TD target. For n = 2 put the 1-step return of the next step where the guess was, and so on.",
        "Repeat n - 1 times: all but the last entry become r + gamma (1 - terminated) times the entry behind them. The "
        "last entry has nobody behind it and keeps its 1-step target.",
    ),
    wrong=(
        Wrong(
            "the guess behind an end was added; an episode that terminated leaves nothing to guess",
            lambda r, w, term, n, gamma: _n_step(r, w, term, n, gamma, over=lambda ended: False),
        ),
        Wrong(
            "no guess was added: this is the sum of n rewards, and what follows them is forgotten",
            lambda r, w, term, n, gamma: _n_step(r, 0 * w, term, n, gamma),
        ),
        Wrong(
            "the guess after n rewards is n steps away and carries gamma to the n, not gamma",
            lambda r, w, term, n, gamma: _n_step(r, w, term, n, gamma, power=lambda m: 1),
        ),
        Wrong(
            "the guess's gamma is one power short: after n rewards it is n steps away",
            lambda r, w, term, n, gamma: _n_step(r, w, term, n, gamma, power=lambda m: m - 1),
        ),
        Wrong(
            "one reward too many was summed before the guess",
            lambda r, w, term, n, gamma: _n_step(r, w, term, n + 1, gamma),
        ),
        Wrong(
            "rewards were not discounted",
            lambda r, w, term, n, gamma: _n_step(r, w * gamma ** min(n, len(r)), term, n, 1.0),
        ),
        Wrong(
            "where the array stops without an end, the guess for the last state was left out: a cut is no end",
            lambda r, w, term, n, gamma: _n_step(r, np.where(np.arange(len(r)) + 1 == len(r), 0.0, w), term, n, gamma),
        ),
        Wrong(
            "this is the 1-step target at every step; n rewards come before the guess",
            lambda r, w, term, n, gamma: td_target(r, w, term, gamma),
        ),
    ),
)
def n_step_returns(answer, solution):
    cut = np.array([1.0, -2.0, 4.0, 3.0, 0.5]), np.array([7.0, 2.0, -6.0, 5.0, 9.0]), np.zeros(5, bool)
    ended = *cut[:2], np.array([False, False, False, False, True])
    for n in (1, 2, 3):
        yield differs(answer(*cut, n, 0.5), solution(*cut, n, 0.5), f"with n = {n} on five steps that a time limit cut")
        yield differs(answer(*ended, n, 0.5), solution(*ended, n, 0.5), f"with n = {n} on five steps that terminated")
    yield differs(answer(*ended, 5, 0.9), solution(*ended, 5, 0.9), "with n = 5, the whole episode")
