"""Exercises on DQN: its target, and the double one.

Each checker probes what people get wrong: what follows an end, a place taken for a value, which of two networks
chooses. Left out: the parts of Rainbow, which have exercises of their own.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


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
