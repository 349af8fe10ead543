"""Exercises on what an agent is to want: returns, shaped rewards, and strategies that cannot be exploited.

Each checker probes what people get wrong: the order of a recursion and where it stops, the gamma and the signs of a
potential's change, and whose payoffs are whose.
Left out: estimates of values, which belong to the lesson on Monte Carlo.
"""

import numpy as np

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.rl.games import ROCK_PAPER_SCISSORS


def _backward(rewards, done, gamma, ahead=0.0):
    found = np.zeros_like(rewards)
    for t in reversed(range(len(rewards))):
        found[t] = ahead = rewards[t] + gamma * (1 - done[t]) * ahead
    return found


def _forward(rewards, gamma):
    found = np.zeros_like(rewards)
    for t, reward in enumerate(rewards):
        found[t] = reward + gamma * (found[t - 1] if t else 0.0)
    return found


@exercise(
    "rl.returns",
    title="Returns, computed backward",
    signature="returns(rewards: (T,), done: (T,) True where an episode ended, gamma) -> (T,)",
    solution="llmrl.rl.returns.returns",
    minutes=8,
    difficulty=1,
    hints=(
        "Begin with the last step, whose return is its reward, and go to the front: for t in reversed(range(len(r))).",
        "G[t] = r[t] + gamma * G[t+1], and G[t+1] counts as 0 where done[t] is True.",
    ),
    wrong=(
        Wrong(
            "sums of what came before; a return counts what is still to come, so begin at the end",
            lambda r, d, g: _forward(r, g),
        ),
        Wrong(
            "the sum ran on across the end of an episode; where done[t] is True nothing follows",
            lambda r, d, g: _backward(r, np.zeros(len(r)), g),
        ),
        Wrong(
            "the last reward of the episode was dropped; done[t] stops what comes after step t, not its own reward",
            lambda r, d, g: _backward(r * (1 - d), d, g),
        ),
        Wrong(
            "the sum stopped one step early: done[t] belongs to step t, not to the one behind it",
            lambda r, d, g: _backward(r, np.append(d[1:], True), g),
        ),
        Wrong("the discount was left out", lambda r, d, g: _backward(r, d, 1.0)),
        Wrong(
            "the reward of the step itself was discounted, too; gamma begins with the next one",
            lambda r, d, g: g * _backward(r, d, g),
        ),
        Wrong(
            "one number for the whole array; every step has its own return",
            lambda r, d, g: float(_backward(r, d, g)[0]),
        ),
        Wrong(
            "rewards were discounted from the beginning of the array; each return counts from its own step",
            lambda r, d, g: _backward(r * g ** np.arange(len(r)), d, 1.0),
        ),
    ),
)
def returns(answer, solution):
    rewards, ends = np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, False, True])
    yield differs(answer(rewards, ends, 0.5), solution(rewards, ends, 0.5), "on rewards 1, 2, 3, 4 and gamma 0.5")
    two = np.array([2.0, 0.0, 1.0, 5.0, -3.0, 0.5]), np.array([False, False, True, False, False, True])
    yield differs(answer(*two, 0.9), solution(*two, 0.9), "on two episodes in one array")
    cut = np.array([1.0, 4.0, -2.0]), np.array([True, False, False])
    yield differs(answer(*cut, 0.8), solution(*cut, 0.8), "on an array that stops before an end")
    yield differs(answer(*two, 0.0), solution(*two, 0.0), "with gamma 0")


@exercise(
    "rl.shaping_reward",
    title="A reward that pays for coming closer and cannot mislead",
    signature="shaping_reward(potential: (S,), states: (N,), next_states: (N,), gamma) -> (N,)",
    solution="llmrl.rl.shaping.shaping_reward",
    minutes=6,
    difficulty=1,
    hints=(
        "Look both potentials up: potential[states] and potential[next_states].",
        "What one has after the step, discounted since it is one step later, minus what one had before.",
    ),
    wrong=(
        Wrong("gamma is missing: then going round in a circle is not free", lambda p, s, t, g: p[t] - p[s]),
        Wrong("the signs are exchanged: this pays for going away", lambda p, s, t, g: p[s] - g * p[t]),
        Wrong(
            "gamma stands at the state one leaves; the later potential is the one that is discounted",
            lambda p, s, t, g: p[t] - g * p[s],
        ),
        Wrong(
            "this pays for being somewhere, every step again; what is paid has to be given back on the way out",
            lambda p, s, t, g: p[t] + 0 * s,
        ),
        Wrong("gamma multiplies both; only the second comes a step later", lambda p, s, t, g: g * (p[t] - p[s])),
        Wrong(
            "what is lost on the way back was not taken away, so walking to and fro pays",
            lambda p, s, t, g: np.maximum(g * p[t] - p[s], 0.0),
        ),
    ),
)
def shaping_reward(answer, solution):
    potential = np.array([0.0, 1.0, 4.0, -2.0])
    steps = np.array([0, 1, 2, 3, 1]), np.array([1, 2, 1, 0, 1])
    yield differs(answer(potential, *steps, 0.9), solution(potential, *steps, 0.9), "on five steps between four states")
    yield differs(answer(potential, *steps, 1.0), solution(potential, *steps, 1.0), "without a discount")


UNEVEN = np.array([[0.0, -1.0, 2.0], [1.0, 0.0, -1.0], [-2.0, 1.0, 0.0]])  # a rock that meets scissors wins 2


@exercise(
    "rl.exploitability",
    title="What somebody who knows your strategy wins",
    signature="exploitability(payoffs: (A, A) [mine, theirs], strategy: (A,)) -> a number",
    solution="llmrl.rl.games.exploitability",
    minutes=8,
    difficulty=2,
    hints=(
        "For each action of the other player: what it wins on average against your strategy. One matrix product.",
        "The game is fair, so payoffs[b, a] is what anybody wins who plays b against a. Take the best b.",
    ),
    wrong=(
        Wrong(
            "this is the best reply to an even mixture; the strategy was not used",
            lambda u, s: float((u @ np.full(len(s), 1 / len(s))).max()),
        ),
        Wrong(
            "the two players were exchanged: this is the most that you could win, if they let you",
            lambda u, s: float((s @ u).max()),
        ),
        Wrong("the sign is the loser's; it is asked what the other one wins", lambda u, s: float((s @ u).min())),
        Wrong(
            "the reply was the strategy itself, and against oneself a fair game always breaks even",
            lambda u, s: float(s @ u @ s),
        ),
        Wrong(
            "only your likeliest action was answered; the others happen, too",
            lambda u, s: float(u[:, s.argmax()].max()),
        ),
        Wrong("an array came back, one number per reply; the best one is asked for", lambda u, s: u @ s),
        Wrong(
            "every action was answered by its own best reply; they cannot see the action, only the strategy",
            lambda u, s: float(s @ u.max(0)),
        ),
    ),
)
def exploitability(answer, solution):
    leaning = np.array([0.5, 0.3, 0.2])
    yield differs(answer(UNEVEN, leaning), solution(UNEVEN, leaning), "on a game in which rocks win twice as much")
    even = np.full(3, 1 / 3)
    yield differs(answer(ROCK_PAPER_SCISSORS, even), solution(ROCK_PAPER_SCISSORS, even), "on an even mixture")
    rock = np.array([1.0, 0.0, 0.0])
    yield differs(answer(UNEVEN, rock), solution(UNEVEN, rock), "on rock for ever")
