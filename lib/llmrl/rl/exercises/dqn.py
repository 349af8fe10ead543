"""Exercises on DQN: which steps of a log are transitions, one question per action, and two targets.

Each checker probes what people get wrong: which of the two ends has a value behind it, the order of rows, which of two
networks chooses. Left out: the parts of Rainbow, which have exercises of their own.
"""

import numpy as np
import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "rl.ask_all",
    title="Ask once per action",
    signature="ask_all(network: (B, D + A) -> (B,), states: (B, D), actions: A) -> (B, A)",
    solution="llmrl.rl.q_networks.ask_all",
    minutes=10,
    difficulty=2,
    hints=(
        "Each state needs A rows, the same state with another action behind it: torch.eye(A) holds the actions.",
        "states.repeat_interleave(A, 0) keeps the rows of one state together; their actions are eye.repeat(B, 1).",
    ),
    wrong=(
        Wrong(
            "rows and actions do not match: the states were repeated as a block, the answers are read state by state",
            lambda f, s, a: f(torch.cat([s.repeat(a, 1), torch.eye(a).repeat(len(s), 1)], 1)).view(-1, a),
        ),
        Wrong(
            "every state was asked about one action only, the first",
            lambda f, s, a: f(torch.cat([s, torch.eye(a)[:1].expand(len(s), -1)], 1))[:, None].expand(-1, a),
        ),
        Wrong(
            "the result came out as (A, B); a row of the result is a state",
            lambda f, s, a: torch.stack([f(torch.cat([s, torch.eye(a)[k].expand(len(s), -1)], 1)) for k in range(a)]),
        ),
        Wrong(
            "the answers are still in one long row; the result is (B, A)",
            lambda f, s, a: f(torch.cat([s.repeat_interleave(a, 0), torch.eye(a).repeat(len(s), 1)], 1)),
        ),
        Wrong(
            "the action stands before the state; this network reads the state first",
            lambda f, s, a: f(torch.cat([torch.eye(a).repeat(len(s), 1), s.repeat_interleave(a, 0)], 1)).view(-1, a),
        ),
        Wrong(
            "only the largest value was returned; the maximum is for the caller to take",
            lambda f, s, a: (
                f(torch.cat([s.repeat_interleave(a, 0), torch.eye(a).repeat(len(s), 1)], 1)).view(-1, a).amax(1)
            ),
        ),
    ),
)
def ask_all(answer, solution):
    weights = torch.tensor([1.0, -2.0, 0.5, 3.0, -1.0])

    def network(pairs):
        return pairs @ weights + (pairs[:, 0] * pairs[:, -1]).sin()

    states = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5], [-2.0, 1.0]])
    yield differs(answer(network, states, 3), solution(network, states, 3), "on four states and three actions")
    yield differs(answer(network, states[:1], 3), solution(network, states[:1], 3), "on a single state")


def _log(after):
    def answer(terminated, truncated):
        ended = np.asarray(terminated) | np.asarray(truncated)
        return after(ended, np.asarray(terminated), np.asarray(truncated))

    return answer


def _shifted(ended):
    real = np.ones_like(ended)
    real[1:] = ~ended[:-1]
    return real


def _flat(ended):
    return _shifted(ended.reshape(-1)).reshape(ended.shape)


@exercise(
    "rl.real_steps",
    title="Which steps of the log happened",
    signature="real_steps(terminated: (T, N) bool, truncated: (T, N) bool) -> (T, N) bool",
    solution="llmrl.rl.replay.real_steps",
    minutes=8,
    difficulty=1,
    hints=(
        "A step that ends an episode is a transition, and a precious one. The step after it only starts anew.",
        "Begin with all True. Row t is False where row t-1 has either end: real[1:] = ~ended[:-1].",
    ),
    wrong=(
        Wrong(
            "the last step of an episode was thrown away; it is the only one that tells of an end",
            _log(lambda ended, *_: ~ended),
        ),
        Wrong("a time limit starts anew as well: both ends count", _log(lambda ended, term, trunc: _shifted(term))),
        Wrong("a fall starts anew as well: both ends count", _log(lambda ended, term, trunc: _shifted(trunc))),
        Wrong(
            "an end in one environment was taken for an end in all; each column is a log of its own",
            _log(lambda ended, *_: _shifted(np.broadcast_to(ended.any(1, keepdims=True), ended.shape))),
        ),
        Wrong("this is the opposite: True where the step only starts anew", _log(lambda ended, *_: ~_shifted(ended))),
        Wrong(
            "the step before an end was dropped; it is the one after that never happened",
            _log(lambda ended, *_: np.concatenate([~ended[1:], np.ones_like(ended[:1])])),
        ),
        Wrong(
            "time and environments were mixed up: the log was read row by row as one long list",
            _log(lambda ended, *_: _flat(ended)),
        ),
    ),
)
def real_steps(answer, solution):
    terminated = np.array([[0, 0], [1, 0], [0, 0], [0, 0], [0, 1], [0, 0]], bool)
    truncated = np.array([[0, 0], [0, 1], [0, 0], [0, 0], [1, 0], [0, 0]], bool)
    only = terminated[:, :1], np.zeros((6, 1), bool)
    yield differs(answer(*only), solution(*only), "for one environment that terminates once")
    yield differs(answer(terminated, truncated), solution(terminated, truncated), "for two with both kinds of end")
    other = terminated[:4], np.zeros((4, 2), bool)
    yield differs(answer(*other), solution(*other), "where only the first of two ends")
    last = terminated[:2], truncated[:2]
    yield differs(answer(*last), solution(*last), "for a log whose last step is an end")


@exercise(
    "rl.q_target",
    title="The target of DQN",
    signature="q_target(rewards: (B,), terminated: (B,), next_q: (B, A), gamma) -> (B,)",
    solution="llmrl.rl.dqn.q_target",
    minutes=6,
    difficulty=1,
    hints=(
        "Three factors after the reward: gamma, whether anything follows, and the largest value of the next state.",
        "terminated is 1.0 where nothing follows, so 1 - terminated is the switch. amax(-1) gives numbers, not places.",
    ),
    wrong=(
        Wrong(
            "after a terminated step nothing follows: multiply by 1 - terminated", lambda r, d, q, g: r + g * q.amax(-1)
        ),
        Wrong("the switch is the wrong way round: 1 - terminated", lambda r, d, q, g: r + g * d * q.amax(-1)),
        Wrong(
            "the reward of the last step was lost as well; the switch belongs to what follows alone",
            lambda r, d, q, g: (1 - d) * (r + g * q.amax(-1)),
        ),
        Wrong(
            "argmax is the place of the best action; its value is wanted",
            lambda r, d, q, g: r + g * (1 - d) * q.argmax(-1),
        ),
        Wrong(
            "the mean over actions is the value of choosing blindly", lambda r, d, q, g: r + g * (1 - d) * q.mean(-1)
        ),
        Wrong(
            "the maximum ran over the whole batch; every transition has its own next state",
            lambda r, d, q, g: r + g * (1 - d) * q.max(),
        ),
        Wrong("gamma is missing: what comes later counts for less", lambda r, d, q, g: r + (1 - d) * q.amax(-1)),
        Wrong("gamma went around the reward, too; that is paid now", lambda r, d, q, g: g * (r + (1 - d) * q.amax(-1))),
    ),
)
def q_target(answer, solution):
    rewards, ends = torch.tensor([1.0, -2.0, 0.5, 3.0]), torch.tensor([0.0, 1.0, 0.0, 1.0])
    next_q = torch.tensor([[2.0, 5.0, -1.0], [7.0, 1.0, 4.0], [-3.0, -8.0, -2.0], [0.0, 6.0, 2.0]])
    yield differs(answer(rewards, ends, next_q, 0.9), solution(rewards, ends, next_q, 0.9), "on four transitions")
    yield differs(answer(rewards, ends, next_q, 0.0), solution(rewards, ends, next_q, 0.0), "with gamma 0")


def _double(pick):
    return lambda r, d, q, online, g: r + g * (1 - d) * pick(q, online)


@exercise(
    "rl.double_target",
    title="One network chooses, the other rates",
    signature="double_target(rewards: (B,), terminated: (B,), next_q: (B, A), next_online_q: (B, A), gamma) -> (B,)",
    solution="llmrl.rl.dqn.double_target",
    minutes=8,
    difficulty=2,
    hints=(
        "next_online_q only says which action; what it is worth is read from next_q, the target network's.",
        "best = next_online_q.argmax(-1, keepdim=True) is (B, 1); next_q.gather(-1, best) picks those entries.",
    ),
    wrong=(
        Wrong("this is the plain target: the network that rates also chose", _double(lambda q, o: q.amax(-1))),
        Wrong("the online network rated its own choice, which is just as flattering", _double(lambda q, o: o.amax(-1))),
        Wrong(
            "the roles are exchanged: the online network chooses, the target network rates",
            _double(lambda q, o: o.gather(-1, q.argmax(-1, keepdim=True)).squeeze(-1)),
        ),
        Wrong(
            "the smaller of two maxima is another method; here the choice of one is rated by the other",
            _double(lambda q, o: torch.minimum(q.amax(-1), o.amax(-1))),
        ),
        Wrong("the mean of both networks was taken; only one rates", _double(lambda q, o: ((q + o) / 2).amax(-1))),
        Wrong(
            "after a terminated step nothing follows",
            lambda r, d, q, o, g: r + g * q.gather(-1, o.argmax(-1, keepdim=True)).squeeze(-1),
        ),
        Wrong(
            "every row was rated for every row's choice: the result is (B, B); gather picks one entry per row",
            _double(lambda q, o: q[:, o.argmax(-1)]),
        ),
    ),
)
def double_target(answer, solution):
    rewards, ends = torch.tensor([1.0, -2.0, 0.5]), torch.tensor([0.0, 0.0, 1.0])
    frozen = torch.tensor([[2.0, 5.0, -1.0], [7.0, 1.0, 4.0], [-3.0, -8.0, -2.0]])
    online = torch.tensor([[3.0, 2.0, 4.5], [6.0, 9.0, 0.0], [1.0, 0.0, 2.0]])
    some = rewards, ends, frozen, online, 0.9
    yield differs(answer(*some), solution(*some), "where the two networks disagree")
    agree = rewards, ends, frozen, frozen + 1, 0.5
    yield differs(answer(*agree), solution(*agree), "where they agree on the best action")
