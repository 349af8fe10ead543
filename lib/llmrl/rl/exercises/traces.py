"""Exercises on TD(lambda): the view ahead and the view back.

Each checker probes what people get wrong: which weight belongs to the longer return, what stands behind the last step,
and what fades when. Left out: updates made on the way, which these two put together.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.rl.td import td_target


def _lambda(r, w, term, gamma, lam, first=None, believe=lambda lam: (1 - lam, lam)):
    out, ahead = np.zeros(r.shape), w[-1] if first is None else first
    guess, rest = believe(lam)
    for t in reversed(range(len(r))):
        out[t] = ahead = td_target(r[t], guess * w[t] + rest * ahead, term[t], gamma)
    return out


@exercise(
    "rl.lambda_returns",
    title="The lambda-return, backwards",
    signature="lambda_returns(rewards: (T,), next_values: (T,), terminated: (T,) bool, gamma, lam) -> (T,)",
    solution="llmrl.rl.lambda_returns.lambda_returns",
    minutes=12,
    difficulty=2,
    hints=(
        "Go backwards. Each return is a TD target in which the guess has become a mixture: (1 - lam) of the guess, lam "
        "of the return behind it. That is r[t] + gamma * ((1 - lam) * next_values[t] + lam * ahead).",
        "Begin with ahead = next_values[-1]: behind the last step there is only the guess. A terminated step keeps its "
        "reward alone.",
    ),
    wrong=(
        Wrong(
            "lambda and 1 - lambda are exchanged: lambda weighs the longer return",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, gamma, lam, believe=lambda lam: (lam, 1 - lam)),
        ),
        Wrong(
            "guess and return were added without weights; a mixture's weights sum to one",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, gamma, lam, believe=lambda lam: (1, lam)),
        ),
        Wrong(
            "the array's last step was taken for an end; where it was cut, the guess gets all the weight",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, gamma, lam, first=0.0),
        ),
        Wrong(
            "a terminated step was looked behind; nothing comes after it",
            lambda r, w, term, gamma, lam: _lambda(r, w, np.zeros_like(term), gamma, lam),
        ),
        Wrong(
            "gamma is missing: what comes later counts for less",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, 1.0, lam),
        ),
        Wrong(
            "this is the return without guesses, lambda = 1",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, gamma, 1.0),
        ),
        Wrong("this is the TD target, lambda = 0", lambda r, w, term, gamma, lam: td_target(r, w, term, gamma)),
        Wrong(
            "the value comes back as an advantage: these are returns, nothing is subtracted",
            lambda r, w, term, gamma, lam: _lambda(r, w, term, gamma, lam) - np.concatenate([w[:1], w[:-1]]),
        ),
    ),
)
def lambda_returns(answer, solution):
    rewards, guesses = np.array([1.0, -2.0, 4.0, 3.0]), np.array([7.0, 2.0, -6.0, 5.0])
    ended, cut = np.array([False, False, False, True]), np.zeros(4, bool)
    yield differs(
        answer(rewards, guesses, ended, 0.5, 0.8),
        solution(rewards, guesses, ended, 0.5, 0.8),
        "on an episode that ended",
    )
    yield differs(
        answer(rewards, guesses, cut, 0.5, 0.8), solution(rewards, guesses, cut, 0.5, 0.8), "on one cut by a time limit"
    )
    yield differs(answer(rewards, guesses, cut, 0.9, 1.0), solution(rewards, guesses, cut, 0.9, 1.0), "with lambda 1")


def _trace(trace, states, decay, keep=1.0, fade=True, whole=False):
    rows, trace = np.arange(len(trace)), decay * trace if fade else trace.copy()
    if whole:
        return keep * trace + 1
    trace[rows, states] = keep * trace[rows, states] + 1
    return trace


def _in_place(trace, states, decay, keep=1.0):
    trace *= decay
    trace[np.arange(len(trace)), states] = keep * trace[np.arange(len(trace)), states] + 1
    return trace


def _crossed(trace, states, decay, keep=1.0):
    trace = decay * trace
    trace[:, states] = keep * trace[:, states] + 1
    return trace


@exercise(
    "rl.trace_step",
    title="One step of an eligibility trace",
    signature="trace_step(trace: (N, S), states: (N,) whole, decay, keep=1.0) -> (N, S)",
    solution="llmrl.rl.traces.trace_step",
    minutes=5,
    difficulty=1,
    hints=(
        "First all traces of all players fade: decay times trace, a new array. Then one entry per player changes.",
        "rows = np.arange(len(trace)); trace[rows, states] is one entry per row. It becomes keep times itself plus 1.",
    ),
    wrong=(
        Wrong(
            "visited traces are renewed, others never faded; all of them fade with each step",
            lambda trace, states, decay, keep=1.0: _trace(trace, states, decay, keep, fade=False),
        ),
        Wrong(
            "every state was renewed; only the visited one is",
            lambda trace, states, decay, keep=1.0: _trace(trace, states, decay, keep, whole=True),
        ),
        Wrong(
            "each player's visit renewed the trace of all players; index one entry per row",
            _crossed,
        ),
        Wrong(
            "keep was ignored: 1 adds to what is left, 0 starts the trace anew",
            lambda trace, states, decay, keep=1.0: _trace(trace, states, decay, 1.0),
        ),
        Wrong(
            "the fresh 1 faded at once; fading comes first, the visit after it",
            lambda trace, states, decay, keep=1.0: decay * _trace(trace, states, 1.0, keep),
        ),
        Wrong(
            "the trace was set to 1 whatever was left; that is keep = 0 only",
            lambda trace, states, decay, keep=1.0: _trace(trace, states, decay, 0.0),
        ),
        Wrong("the trace faded and nobody renewed it", lambda trace, states, decay, keep=1.0: decay * trace),
        Wrong(
            "the numbers are right, but the caller's own array was changed; begin with a new one, decay * trace",
            _in_place,
        ),
    ),
)
def trace_step(answer, solution):
    trace, states = np.array([[0.5, 2.0, 0.0, 0.4], [1.0, 0.0, 0.8, 0.6], [0.2, 0.4, 3.0, 0.1]]), np.array([1, 0, 2])
    for keep in (1.0, 0.0, 0.7):
        want = solution(trace, states, 0.5, keep)
        yield differs(answer(trace, states, 0.5, keep), want, f"on three players with decay 0.5 and keep {keep:g}")
    given = trace.copy()
    answer.function(given, states, 0.5, 0.7)  # not through answer(), which hands out copies
    yield differs(given, trace, "in the array that was handed in")
