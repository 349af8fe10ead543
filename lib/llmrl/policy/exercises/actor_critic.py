"""Exercises on actor and critic.

Each checker probes what people get wrong: which mean is taken off, through what a gradient may flow, what follows an
end and what follows a cut, which flag cuts which term. Left out: the loops around them.
"""

import numpy as np
import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.policy.actor_critic import Config
from llmrl.policy.advantages import bootstrapped

Q = np.array([[4.0, 1.0, -2.0], [0.0, 5.0, 5.0]])
POLICY = np.array([[0.5, 0.25, 0.25], [0.2, 0.2, 0.6]])


@exercise(
    "policy.action_advantages",
    title="The advantage of every action",
    signature="action_advantages(q: (S, A), policy: (S, A) chances) -> (S, A)",
    solution="llmrl.policy.advantages.action_advantages",
    minutes=5,
    difficulty=1,
    hints=(
        "V(s) is what one gets on average when the policy chooses: each Q(s, a) counts by the chance of a.",
        "(policy * q).sum(-1) is V, one number per state. Give it an axis more, [..., None], before taking it off q.",
    ),
    wrong=(
        Wrong(
            "the plain mean was taken off; V weighs each action by its chance under the policy",
            lambda q, p: q - q.mean(-1)[..., None],
        ),
        Wrong(
            "the best action's value was taken off; that is V of the greedy policy, not of this one",
            lambda q, p: q - q.max(-1)[..., None],
        ),
        Wrong("the sign is turned: better than average is positive", lambda q, p: (p * q).sum(-1)[..., None] - q),
        Wrong("this is Q weighed by the chances, from which nothing has been taken off", lambda q, p: p * q),
        Wrong(
            "the result was weighed by the chances; the advantage of a rare action is as large as that of a common one",
            lambda q, p: p * (q - (p * q).sum(-1)[..., None]),
        ),
        Wrong(
            "one mean was taken over all states; each state has its own V",
            lambda q, p: q - (p * q).sum(-1).mean(),
        ),
        Wrong("this is V, one number per state; the advantage is Q minus that", lambda q, p: (p * q).sum(-1)),
    ),
)
def action_advantages(answer, solution):
    yield differs(answer(Q, POLICY), solution(Q, POLICY), "on two states with three actions")
    sure = np.eye(3)[[0, 2]]
    yield differs(answer(Q, sure), solution(Q, sure), "with a policy that is sure of itself")


def _loss(logp, values, entropy, adv, ret, config, actor=-1.0, critic=1.0, bonus=1.0):
    """The loss, its parts weighed by what people get wrong."""
    error = (values - ret.detach()) ** 2
    return actor * logp * adv.detach() + critic * config.value_weight * error - bonus * config.entropy_weight * entropy


@exercise(
    "policy.a2c_loss",
    title="What A2C minimises, and through what",
    signature="a2c_loss(logp: (B,), values: (B,), entropy: (B,), adv: (B,), ret: (B,), config) -> (B,)",
    solution="llmrl.policy.actor_critic.a2c_loss",
    minutes=15,
    difficulty=2,
    hints=(
        "Three terms: -logp adv, the squared error of the value times config.value_weight, minus entropy times "
        "config.entropy_weight. Each is one number per step.",
        "adv and ret were computed from the critic's values, and nothing may flow back through them: adv.detach(), "
        "ret.detach().",
    ),
    wrong=(
        Wrong("the entropy has the wrong sign: this punishes exploring", lambda *case: _loss(*case, bonus=-1.0)),
        Wrong(
            "the sign of the actor's term is turned: this makes good actions rarer",
            lambda *case: _loss(*case, actor=1.0),
        ),
        Wrong(
            "the squared error was halved; here value_weight does that (0.5 by default)",
            lambda *case: _loss(*case, critic=0.5),
        ),
        Wrong("the squared error was not weighed by value_weight", lambda *case: _loss(*case, critic=4.0)),
        Wrong("chances were taken instead of their logarithms", lambda logp, *rest: _loss(logp.exp(), *rest)),
        Wrong("the bonus for entropy is missing", lambda *case: _loss(*case, bonus=0.0)),
        Wrong("one number per step is asked, the caller reduces", lambda *case: _loss(*case).mean()),
        Wrong("each part was reduced on its own and the parts added", lambda *case: _loss(*case).mean() + 0 * case[0]),
    ),
)
def a2c_loss(answer, solution):
    config = Config(value_weight=0.25, entropy_weight=0.1)
    leaves = [torch.tensor(pair, requires_grad=True) for pair in PAIRS]
    yield differs(answer(*leaves, config), solution(*leaves, config), "on two steps")
    loss = answer.function(*leaves, config)  # on these very tensors, so that gradients come back to them
    yield _misled(loss, leaves, "logp values entropy adv ret".split())


PAIRS = [-0.5, -1.2], [3.0, -1.0], [0.6, 0.4], [2.0, -1.5], [1.0, 0.5]  # as the names above


def _misled(loss, leaves, names):
    """What is wrong with the gradient of a loss whose value is right."""
    if not loss.requires_grad:
        return "the value is right and no gradient flows at all: only adv and ret are to be detached"
    reached = torch.autograd.grad(loss.sum(), leaves, allow_unused=True, materialize_grads=True)
    flows = {name: bool(gradient.any()) for name, gradient in zip(names, reached)}
    if flows["adv"]:
        return "the value is right, but a gradient flows through adv: it would teach the critic to make it low"
    if flows["ret"]:
        return "the value is right, but a gradient flows through ret: a target that moves with the guess is no target"
    for name in ("logp", "values", "entropy"):
        if not flows[name]:
            return f"the value is right, but no gradient reaches {name}: detach adv and ret, nothing else"
    return None


REWARDS = torch.tensor([[1.0, 0.5], [0.0, 2.0], [3.0, -1.0]])
CUT = torch.tensor([[False, True], [False, False], [True, False]])
FINAL = torch.tensor([[7.0, 4.0], [-6.0, 8.0], [2.0, 5.0]])


@exercise(
    "policy.bootstrapped",
    title="What a time limit owes",
    signature="bootstrapped(rewards: (T, N), truncated: (T, N) bool, final_values: (T, N), gamma) -> (T, N)",
    solution="llmrl.policy.advantages.bootstrapped",
    minutes=6,
    difficulty=1,
    hints=(
        "Where the clock cut the episode, what would have followed is worth gamma V of the state it stopped in. "
        "Elsewhere the reward is what it was.",
        "torch.where(truncated, final_values, 0.0), times gamma, added to the rewards. Multiplying by truncated would "
        "turn a nan that stands in an unused entry into a nan.",
    ),
    wrong=(
        Wrong(
            "gamma is missing: the final state lies one step later",
            lambda r, cut, final, gamma: bootstrapped(r, cut, final, 1.0),
        ),
        Wrong(
            "the reward of the cut step was replaced; it was paid, and the value comes on top",
            lambda r, cut, final, gamma: torch.where(cut, gamma * final, r),
        ),
        Wrong(
            "the flag was read the wrong way round: the value is added where nothing was cut",
            lambda r, cut, final, gamma: bootstrapped(r, ~cut, final, gamma),
        ),
        Wrong(
            "every step got the value of the state it led to; gae looks those up itself, and they would count twice",
            lambda r, cut, final, gamma: r + gamma * torch.nan_to_num(final),
        ),
        Wrong("nothing was added where an episode was cut", lambda r, cut, final, gamma: r.clone()),
        Wrong(
            "nan times False is nan: choose with torch.where",
            lambda r, cut, final, gamma: r + gamma * cut * final,
        ),
    ),
)
def bootstrapped_checker(answer, solution):
    case = REWARDS, CUT, FINAL, 0.5
    yield differs(answer(*case), solution(*case), "on three steps of two environments, each cut once")
    spoiled = torch.where(CUT, FINAL, torch.nan)
    case = REWARDS, CUT, spoiled, 0.9
    yield differs(answer(*case), solution(*case), "with nan for the values that nobody should read")


def _gae(rewards, values, last_value, done, gamma, lam, look=True, fade=True, decay=None, behind=None):
    """The recursion, with the places where people go wrong as arguments."""
    keep, behind = 1 - done, last_value if behind is None else behind
    following = torch.cat([values[1:], behind[None]])
    delta = rewards + gamma * (keep if look else 1) * following - values
    adv, ahead = torch.zeros_like(delta), torch.zeros_like(last_value)
    for t in reversed(range(len(delta))):
        ahead = delta[t] + (gamma * lam if decay is None else decay) * (keep[t] if fade else 1) * ahead
        adv[t] = ahead
    return adv


@exercise(
    "policy.gae",
    title="Generalized advantage estimation",
    signature="gae(rewards: (T, N), values: (T, N), last_value: (N,), done: (T, N), gamma, lam) -> (T, N)",
    solution="llmrl.policy.advantages.gae",
    minutes=15,
    difficulty=2,
    hints=(
        "First the TD errors of all steps at once: delta = rewards + gamma (1 - done) next_values - values, where "
        "next_values are the values one row later and last_value behind the last.",
        "Then backward: start with ahead = 0; for t from the last row to the first, ahead = delta[t] + gamma lam "
        "(1 - done[t]) ahead, and that is row t. done holds 0.0 and 1.0.",
    ),
    wrong=(
        Wrong(
            "behind the last row 0 was put for the next value; the rollout stopped there, the episode did not",
            lambda r, v, last, *rest: _gae(r, v, last, *rest, behind=torch.zeros_like(last)),
        ),
        Wrong(
            "done is never read: rewards of the next episode leak into this one",
            lambda *case: _gae(*case, look=False, fade=False),
        ),
        Wrong(
            "the sum runs on across an end: the term behind it needs (1 - done) too",
            lambda *case: _gae(*case, fade=False),
        ),
        Wrong(
            "the value behind an end was looked up: the TD error needs (1 - done) too",
            lambda *case: _gae(*case, look=False),
        ),
        Wrong(
            "the advantage behind fades by gamma times lam; gamma is missing",
            lambda r, v, last, done, gamma, lam: _gae(r, v, last, done, gamma, lam, decay=lam),
        ),
        Wrong(
            "the advantage behind fades by gamma times lam; lam is missing",
            lambda r, v, last, done, gamma, lam: _gae(r, v, last, done, gamma, lam, decay=gamma),
        ),
        Wrong(
            "the flag of the next row was read; done[t] tells about the step of row t",
            lambda r, v, last, done, gamma, lam: _gae(
                r, v, last, torch.cat([done[1:], torch.zeros_like(done[:1])]), gamma, lam
            ),
        ),
        Wrong(
            "these are returns: the value was added again",
            lambda r, v, *rest: _gae(r, v, *rest) + v,
        ),
        Wrong(
            "these are the TD errors alone; nothing of what lies behind was added",
            lambda *case: _gae(*case, decay=0.0),
        ),
    ),
)
def gae_checker(answer, solution):
    values = torch.tensor([[0.5, 1.0], [1.0, -2.0], [2.0, 0.0], [4.0, 3.0]])
    rewards = torch.tensor([[1.0, 0.0], [2.0, 3.0], [-1.0, 1.0], [0.5, 2.0]])
    last, none = torch.tensor([6.0, -3.0]), torch.zeros(4, 2)
    case = rewards, values, last, none, 0.5, 0.25
    yield differs(answer(*case), solution(*case), "on four steps of two environments, no end among them")
    ends = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0], [0.0, 1.0]])
    case = rewards, values, last, ends, 0.9, 0.8
    yield differs(answer(*case), solution(*case), "with an end in the middle of one and at the end of the other")
    case = rewards[:1], values[:1], last, none[:1], 0.9, 0.8
    yield differs(answer(*case), solution(*case), "on a single step")
