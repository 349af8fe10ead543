"""Exercises on the policy gradient.

Each checker probes what people get wrong: which index the score belongs to, what a sum is weighed by, dead steps, the
difference between a mean and a weighed mean, numbers too large for a naive formula. Left out: the loops around them.
"""

import numpy as np
import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _eye(policy):
    return np.broadcast_to(np.eye(policy.shape[-1]), (*policy.shape, policy.shape[-1]))


@exercise(
    "policy.softmax_score",
    title="The score of a softmax",
    signature="softmax_score(policy: (..., A) chances) -> (..., A, A)",
    solution="llmrl.policy.score.softmax_score",
    minutes=8,
    difficulty=1,
    hints=(
        "log pi(a) = z_a - log sum_c exp(z_c). Differentiate by z_b: the first part gives 1 where a = b, the second "
        "pi(b).",
        "np.eye(A) holds the first part. Entry [..., a, b] takes away pi(b), so give the policy an axis for a: "
        "policy[..., None, :].",
    ),
    wrong=(
        Wrong(
            "entry [a, b] takes away the chance of b, the score that is moved, and this takes away that of a",
            lambda p: _eye(p) - p[..., :, None],
        ),
        Wrong("the sign is turned: a larger score z_a makes a more likely", lambda p: p[..., None, :] - _eye(p)),
        Wrong(
            "this is the derivative of the chance pi(a); the logarithm's is that divided by pi(a)",
            lambda p: p[..., :, None] * (_eye(p) - p[..., None, :]),
        ),
        Wrong(
            "the sum under the logarithm was forgotten: raising one score lowers all other chances",
            lambda p: _eye(p) + 0.0,
        ),
        Wrong(
            "only the action's own score was differentiated; the other scores move its chance as well",
            lambda p: _eye(p) * (1 - p)[..., None, :],
        ),
    ),
)
def softmax_score(answer, solution):
    one = np.array([0.5, 0.3, 0.2])
    yield differs(answer(one), solution(one), "on the chances 0.5, 0.3, 0.2")
    two = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8]])
    yield differs(answer(two), solution(two), "on two states at once")


VISITS = np.array([2.0, 0.5, 0.0])
POLICY = np.array([[0.5, 0.5], [0.9, 0.1], [0.3, 0.7]])
Q = np.array([[1.0, 3.0], [-2.0, 4.0], [0.0, 0.0]])


def _centred(policy, q):
    return q - (policy * q).sum(1, keepdims=True)


@exercise(
    "policy.policy_gradient",
    title="The policy gradient, added up",
    signature="policy_gradient(visits: (S,), policy: (S, A), q: (S, A)) -> (S, A)",
    solution="llmrl.policy.score.policy_gradient",
    minutes=12,
    difficulty=2,
    hints=(
        "Row s of the answer is d(s) times the sum over a of pi(a|s) Q(s,a) times the score's row a. Nothing of "
        "another state enters, because a state's logits move only its own chances.",
        "Put the score [a = b] - pi(b) in: the sum becomes pi(b|s) (Q(s,b) - V(s)) with V(s) = sum of pi(a|s) Q(s,a). "
        "Multiply row s by visits[s].",
    ),
    wrong=(
        Wrong(
            "the visits are missing: a state that is met twice as often pulls twice as hard",
            lambda d, p, q: p * _centred(p, q),
        ),
        Wrong(
            "the chance pi(b|s) is missing: an action that is hardly taken hardly moves",
            lambda d, p, q: d[:, None] * _centred(p, q),
        ),
        Wrong(
            "the score takes the state's mean off every Q, and it was not taken off",
            lambda d, p, q: d[:, None] * p * q,
        ),
        Wrong(
            "the mean that is taken off is the policy's own, weighed by pi; this is the plain mean over actions",
            lambda d, p, q: d[:, None] * p * (q - q.mean(1, keepdims=True)),
        ),
        Wrong(
            "the visits were made to sum to one; they are a sum over time, and longer episodes have more of them",
            lambda d, p, q: (d / d.sum())[:, None] * p * _centred(p, q),
        ),
        Wrong(
            "the sign is turned: this leads downhill",
            lambda d, p, q: -d[:, None] * p * _centred(p, q),
        ),
    ),
)
def policy_gradient(answer, solution):
    case = VISITS, POLICY, Q
    yield differs(answer(*case), solution(*case), "on three states, one of them never met")
    case = VISITS, POLICY, Q + 10
    yield differs(answer(*case), solution(*case), "with 10 added to every Q")


@exercise(
    "policy.reinforce",
    title="REINFORCE's loss",
    signature="reinforce(logp: (T, N), weights: (T, N), live: (T, N) bool) -> (N,)",
    solution="llmrl.policy.reinforce.reinforce",
    minutes=6,
    difficulty=1,
    hints=(
        "An optimizer goes downhill, and J should go up: minus the sum over time of logp times weight, column by "
        "column.",
        "torch.where(live, weights, 0.0) puts 0 in place of what dead steps hold. Multiply by logp, then .sum(0).",
    ),
    wrong=(
        Wrong(
            "nan times 0 is nan: choose with torch.where instead of multiplying by live",
            lambda logp, w, live: -(logp * w * live).sum(0),
        ),
        Wrong(
            "steps after the end were counted; they were never played and may hold anything",
            lambda logp, w, live: -(logp * w).sum(0),
        ),
        Wrong(
            "the sign is turned: an optimizer goes downhill, and this would make good actions rarer",
            lambda logp, w, live: torch.where(live, logp * w, 0.0).sum(0),
        ),
        Wrong(
            "this is the mean over an episode's steps: in a long episode a step would count less than in a short one",
            lambda logp, w, live: -torch.where(live, logp * w, 0.0).sum(0) / live.sum(0),
        ),
        Wrong(
            "chances were taken instead of their logarithms; pi times the score is what autograd makes of them",
            lambda logp, w, live: -torch.where(live, logp.exp() * w, 0.0).sum(0),
        ),
        Wrong(
            "summed over the episodes as well; one number per episode is asked, the caller reduces",
            lambda logp, w, live: -torch.where(live, logp * w, 0.0).sum(),
        ),
        Wrong(
            "each step got the first step's weight; what a step gets is its own",
            lambda logp, w, live: -torch.where(live, logp * w[:1], 0.0).sum(0),
        ),
    ),
)
def reinforce(answer, solution):
    logp = torch.tensor([[-0.5, -1.0], [-2.0, -0.1], [-0.7, -0.3]], requires_grad=True)
    weights = torch.tensor([[3.0, -1.0], [2.0, -4.0], [1.0, 9.0]])
    live = torch.tensor([[True, True], [True, True], [True, False]])
    case = logp, weights, live
    yield differs(answer(*case), solution(*case), "on an episode of three steps and one of two")
    spoiled = weights.clone()
    spoiled[2, 1] = torch.nan
    case = logp, spoiled, live
    yield differs(answer(*case), solution(*case), "with nan as the weight of a step that was not played")


SCORES = torch.tensor([[1.0, 0.0], [0.0, 2.0], [-3.0, 1.0]], dtype=torch.float64)
EARNED = torch.tensor([4.0, 1.0, -2.0], dtype=torch.float64)


def _norms(scores):
    return scores.norm(dim=-1)


@exercise(
    "policy.optimal_baseline",
    title="The best constant baseline",
    signature="optimal_baseline(scores: (N, K), returns: (N,)) -> one number",
    solution="llmrl.policy.baseline.optimal_baseline",
    minutes=10,
    difficulty=2,
    hints=(
        "Sample i contributes the vector (G_i - b) s_i, whose squared length is (G_i - b)^2 |s_i|^2. Sum over i, and "
        "set the derivative by b to zero.",
        "sum of |s_i|^2 (G_i - b) = 0, so b is the mean of the returns weighed by |s_i|^2 = (scores**2).sum(-1).",
    ),
    wrong=(
        Wrong(
            "this is the plain mean of the returns; the best constant weighs them by their squared scores",
            lambda s, g: g.mean(),
        ),
        Wrong(
            "the weights are the squared lengths of the scores, not the lengths",
            lambda s, g: (_norms(s) * g).sum() / _norms(s).sum(),
        ),
        Wrong(
            "divide by the sum of the weights, not by the number of samples",
            lambda s, g: ((s**2).sum(-1) * g).mean(),
        ),
        Wrong(
            "a baseline for each parameter came out; one number serves them all here",
            lambda s, g: (s**2 * g[:, None]).sum(0) / (s**2).sum(0),
        ),
        Wrong(
            "the returns were squared as well; only the scores are",
            lambda s, g: ((s**2).sum(-1) * g**2).sum() / (s**2).sum(),
        ),
        Wrong(
            "add the squares of a score's entries, then weigh: this squares the sum of its entries",
            lambda s, g: (s.sum(-1) ** 2 * g).sum() / (s.sum(-1) ** 2).sum(),
        ),
    ),
)
def optimal_baseline(answer, solution):
    yield differs(answer(SCORES, EARNED), solution(SCORES, EARNED), "on three samples")
    yield differs(answer(SCORES, EARNED + 5), solution(SCORES, EARNED + 5), "with every return 5 higher")


@exercise(
    "policy.stretch",
    title="What tanh does to a density",
    signature="stretch(u: any shape) -> the same shape",
    solution="llmrl.policy.heads.stretch",
    minutes=12,
    difficulty=3,
    hints=(
        "1 - tanh(u)^2 = 4 / (e^u + e^-u)^2. Take the logarithm, and take e^u out of the sum: what is left is "
        "2 (log 2 - u - log(1 + e^(-2u))).",
        "F.softplus(x) is log(1 + e^x) without overflow. Try your line on u = 20 and u = -20.",
    ),
    wrong=(
        Wrong(
            "true on paper, but 1 - tanh(u)^2 is rounded to 0 far out, and its logarithm is -inf",
            lambda u: torch.log(1 - u.tanh() ** 2),
        ),
        Wrong(
            "a small number inside the logarithm hides the -inf and is wrong far out: it cannot go below log 1e-6",
            lambda u: torch.log(1 - u.tanh() ** 2 + 1e-6),
        ),
        Wrong(
            "the sign is turned: tanh squeezes, its derivative is at most 1 and the logarithm at most 0",
            lambda u: -2 * (np.log(2) - u - F.softplus(-2 * u)),
        ),
        Wrong("this is the derivative; its logarithm is asked", lambda u: 1 - u.tanh() ** 2),
        Wrong(
            "the 2 in front belongs to u and to the logarithm of 2 as well",
            lambda u: np.log(2) - u - 2 * F.softplus(-2 * u),
        ),
        Wrong(
            "log(1 + e^x) overflows for large x; F.softplus does not",
            lambda u: 2 * (np.log(2) - u - torch.log1p((-2 * u).exp())),
        ),
    ),
)
def stretch(answer, solution):
    near = torch.tensor([-1.0, 0.0, 0.5, 2.0])
    yield differs(answer(near), solution(near), "near the middle")
    far = torch.tensor([[-100.0, -20.0], [20.0, 100.0]])
    yield differs(answer(far), solution(far), "far out, at -100, -20, 20 and 100")
