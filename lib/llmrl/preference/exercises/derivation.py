"""Exercises on the way from RLHF to DPO.

Each checker probes one step of the derivation where a sign, a logarithm or a beta goes astray, and one case in which
the numbers leave the comfortable range. Left out: the parts that need a model.
"""

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

REF = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()
REWARD = torch.tensor([0.0, 1.0, -1.0, 2.0])


@exercise(
    "preference.gibbs",
    title="The best policy there is",
    signature="gibbs(ref_logp: (..., Y), reward: (..., Y), beta) -> (..., Y) log-probabilities",
    solution="llmrl.preference.exact.gibbs",
    minutes=8,
    difficulty=1,
    hints=(
        "The logarithm of ref(y) exp(r(y) / beta) is a sum of two terms. Dividing by Z subtracts log Z from all.",
        "Subtracting the logarithm of the sum of exponentials is what log_softmax over the last dimension does.",
    ),
    wrong=(
        Wrong(
            "the reward was multiplied by beta; a small beta has to let the reward count more",
            lambda ref, r, beta: (ref + r * beta).log_softmax(-1),
        ),
        Wrong(
            "the reference is missing; what it never says the best policy never says either",
            lambda ref, r, beta: (r / beta).log_softmax(-1),
        ),
        Wrong(
            "these are probabilities; their logarithms are asked for", lambda ref, r, beta: (ref + r / beta).softmax(-1)
        ),
        Wrong(
            "the sum over answers is not divided out; these are no probabilities yet",
            lambda ref, r, beta: ref + r / beta,
        ),
        Wrong(
            "Z was taken over all prompts together; every prompt has its own",
            lambda ref, r, beta: ref + r / beta - (ref + r / beta).logsumexp(tuple(range(ref.dim()))),
        ),
        Wrong(
            "Z was taken over the first dimension, which mixes prompts; answers lie along the last",
            lambda ref, r, beta: (ref + r / beta).log_softmax(0),
        ),
        Wrong(
            "probability and reward were added; in the exponent it is the logarithm of the probability",
            lambda ref, r, beta: (ref.exp() + r / beta).log_softmax(-1),
        ),
        Wrong(
            "beta divided the reference as well; it weighs the reward alone",
            lambda ref, r, beta: ((ref + r) / beta).log_softmax(-1),
        ),
        Wrong(
            "e to the reward over beta left the range of floats; stay with logarithms until the end",
            lambda ref, r, beta: (ref.exp() * (r / beta).exp() / (ref.exp() * (r / beta).exp()).sum(-1, True)).log(),
        ),
    ),
)
def gibbs(answer, solution):
    yield differs(answer(REF, REWARD, 0.5), solution(REF, REWARD, 0.5), "on four answers with beta 0.5")
    two = torch.stack([REF, REF.flip(0)]), torch.stack([REWARD, 3 - REWARD])
    yield differs(answer(*two, 2.0), solution(*two, 2.0), "on two prompts of four answers")
    yield differs(answer(REF, REWARD, 0.01), solution(REF, REWARD, 0.01), "with beta 0.01, nearly greedy")


def _kl(p, q):
    return torch.where(p > -torch.inf, p.exp() * (p - q), 0.0).sum(-1)


@exercise(
    "preference.regularised_value",
    title="What RLHF makes large",
    signature="regularised_value(logp: (..., Y), ref_logp: (..., Y), reward: (..., Y), beta) -> (...)",
    solution="llmrl.preference.exact.regularised_value",
    minutes=10,
    difficulty=2,
    hints=(
        "Both parts are means under the policy: of the reward, and of log policy - log reference.",
        "An answer with probability 0 adds nothing, but 0 times minus infinity is nan: torch.where picks a 0 instead.",
    ),
    wrong=(
        Wrong(
            "0 times minus infinity became nan; an answer that is never given adds nothing",
            lambda p, q, r, beta: (p.exp() * r).sum(-1) - beta * (p.exp() * (p - q)).sum(-1),
        ),
        Wrong(
            "the divergence ran from the reference to the policy; its mean is taken under the policy",
            lambda p, q, r, beta: (p.exp() * r).sum(-1) - beta * _kl(q, p),
        ),
        Wrong(
            "the divergence was added; it is a price", lambda p, q, r, beta: (p.exp() * r).sum(-1) + beta * _kl(p, q)
        ),
        Wrong(
            "beta is missing; it says what a nat of divergence costs",
            lambda p, q, r, beta: (p.exp() * r).sum(-1) - _kl(p, q),
        ),
        Wrong(
            "the reward was averaged under the reference; the policy is the one that gets it",
            lambda p, q, r, beta: (q.exp() * r).sum(-1) - beta * _kl(p, q),
        ),
        Wrong(
            "every answer counted alike; the policy says how often each is given",
            lambda p, q, r, beta: r.mean(-1) - beta * (p - q).mean(-1),
        ),
        Wrong(
            "the log-ratios were added up unweighted; their mean under the policy is the divergence",
            lambda p, q, r, beta: (p.exp() * r).sum(-1) - beta * (p - q).sum(-1),
        ),
        Wrong("the divergence is missing; this is the reward alone", lambda p, q, r, beta: (p.exp() * r).sum(-1)),
        Wrong(
            "prompts were added up; each has a value of its own",
            lambda p, q, r, beta: (p.exp() * (r - beta * (p - q))).sum(),
        ),
    ),
)
def regularised_value(answer, solution):
    logp = torch.tensor([0.4, 0.1, 0.3, 0.2]).log()
    yield differs(answer(logp, REF, REWARD, 0.5), solution(logp, REF, REWARD, 0.5), "on four answers")
    two = torch.stack([logp, REF]), torch.stack([REF, logp]), torch.stack([REWARD, -REWARD])
    yield differs(answer(*two, 0.5), solution(*two, 0.5), "on two prompts")
    never = torch.tensor([0.5, 0.5, 0.0, 0.0]).log()
    yield differs(
        answer(never, REF, REWARD, 0.5), solution(never, REF, REWARD, 0.5), "where two answers are never given"
    )


@exercise(
    "preference.implicit_reward",
    title="The reward a policy implies",
    signature="implicit_reward(logp: (B,), ref_logp: (B,), beta) -> (B,)",
    solution="llmrl.preference.losses.implicit_reward",
    minutes=5,
    difficulty=1,
    hints=(
        "Solve policy = ref exp(r / beta) / Z for r and drop log Z: it is the same for all answers to a prompt.",
        "The logarithm of a ratio is a difference of logarithms, and logarithms are what you are given.",
    ),
    wrong=(
        Wrong(
            "policy and reference changed places: what became likelier was rewarded", lambda p, q, beta: beta * (q - p)
        ),
        Wrong(
            "beta divides in the exponent, so solved for the reward it multiplies", lambda p, q, beta: (p - q) / beta
        ),
        Wrong(
            "the logarithms were divided; the logarithm of a ratio is their difference",
            lambda p, q, beta: beta * (p / q),
        ),
        Wrong("that is the ratio itself; its logarithm is asked for", lambda p, q, beta: beta * (p - q).exp()),
        Wrong("beta is missing; the same shift means little reward where moving is cheap", lambda p, q, beta: p - q),
        Wrong("beta belongs to both logarithms: it multiplies their difference", lambda p, q, beta: beta * p - q),
        Wrong("the reference is missing; a likely answer is not a rewarded one", lambda p, q, beta: beta * p),
    ),
)
def implicit_reward(answer, solution):
    logp, ref_logp = torch.tensor([-3.0, -8.0, -20.0]), torch.tensor([-4.0, -6.5, -20.0])
    yield differs(answer(logp, ref_logp, 0.1), solution(logp, ref_logp, 0.1), "on three answers")


def _each(wins, function):
    """Sum of wins times function(margin), with the margin of every pair given by index."""
    return sum((wins[i, j] * function(i, j) for i in range(len(wins)) for j in range(len(wins))), torch.zeros(()))


@exercise(
    "preference.log_likelihood",
    title="How likely are these votes?",
    signature="log_likelihood(scores: (Y,), wins: (Y, Y)) -> a number; wins[i, j] counts the votes for i against j",
    solution="llmrl.preference.bradley_terry.log_likelihood",
    minutes=12,
    difficulty=2,
    hints=(
        "A vote for i against j has the probability sigmoid(s_i - s_j). Take its logarithm, once for each such vote.",
        "scores[:, None] - scores is the table of all margins. F.logsigmoid is safe where log(sigmoid) is not.",
    ),
    wrong=(
        Wrong(
            "that is the loss; the likelihood's logarithm has the other sign",
            lambda s, n: -(n * F.logsigmoid(s[:, None] - s)).sum(),
        ),
        Wrong(
            "rows and columns changed places: i is the winner of wins[i, j]",
            lambda s, n: (n * F.logsigmoid(s - s[:, None])).sum(),
        ),
        Wrong(
            "only the pairs above the diagonal were counted; below it stand the votes the other way",
            lambda s, n: (n * F.logsigmoid(s[:, None] - s)).triu().sum(),
        ),
        Wrong(
            "that adds up probabilities; independent votes multiply, so their logarithms add",
            lambda s, n: (n * (s[:, None] - s).sigmoid()).sum(),
        ),
        Wrong(
            "every pair counted once; it counts as often as it was voted for",
            lambda s, n: ((n > 0) * F.logsigmoid(s[:, None] - s)).sum(),
        ),
        Wrong(
            "the average over votes was taken; the log-likelihood is their sum",
            lambda s, n: (n * F.logsigmoid(s[:, None] - s)).sum() / n.sum(),
        ),
        Wrong("the sigmoid is missing; margins alone are no probabilities", lambda s, n: (n * (s[:, None] - s)).sum()),
        Wrong(
            "the sigmoid was rounded to 0, whose logarithm is minus infinity; F.logsigmoid goes on",
            lambda s, n: _each(n, lambda i, j: (s[i] - s[j]).sigmoid().log() if n[i, j] > 0 else 0.0),
        ),
    ),
)
def log_likelihood(answer, solution):
    scores = torch.tensor([0.5, -1.0, 0.2])
    wins = torch.tensor([[0.0, 4.0, 1.0], [1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    yield differs(answer(scores, wins), solution(scores, wins), "on eleven votes about three answers")
    surprise = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    far = torch.tensor([0.0, 200.0])
    yield differs(answer(far, surprise), solution(far, surprise), "on a vote for an answer 200 below the other")


@exercise(
    "preference.dpo",
    title="The DPO loss",
    signature="dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp: each (B,), beta) -> (B,)",
    solution="llmrl.preference.losses.dpo",
    minutes=10,
    difficulty=2,
    hints=(
        "First the implicit reward of both answers, then their difference, then minus the log of its sigmoid.",
        "F.logsigmoid(margin) stays finite where torch.log(torch.sigmoid(margin)) does not. One value per pair.",
    ),
    wrong=(
        Wrong(
            "chosen and rejected changed places", lambda w, l, rw, rl, beta: -F.logsigmoid(-beta * (w - l - rw + rl))
        ),
        Wrong(
            "the reference is missing; only what changed against it is a reward",
            lambda w, l, rw, rl, beta: -F.logsigmoid(beta * (w - l)),
        ),
        Wrong(
            "the reference was added; its log-ratio is taken off",
            lambda w, l, rw, rl, beta: -F.logsigmoid(beta * (w - l + rw - rl)),
        ),
        Wrong("beta is missing; it scales the margin", lambda w, l, rw, rl, beta: -F.logsigmoid(w - l - rw + rl)),
        Wrong(
            "the logarithm is missing; the loss is minus the log of the sigmoid",
            lambda w, l, rw, rl, beta: -torch.sigmoid(beta * (w - l - rw + rl)),
        ),
        Wrong(
            "the sign is missing; a loss is small when the margin is large",
            lambda w, l, rw, rl, beta: F.logsigmoid(beta * (w - l - rw + rl)),
        ),
        Wrong(
            "the sigmoids of both rewards were taken apart; Bradley-Terry takes that of their difference",
            lambda w, l, rw, rl, beta: -F.logsigmoid(beta * (w - rw)) - F.logsigmoid(-beta * (l - rl)),
        ),
        Wrong(
            "the mean over pairs was taken; return one value per pair, the caller averages",
            lambda w, l, rw, rl, beta: -F.logsigmoid(beta * (w - l - rw + rl)).mean(),
        ),
        Wrong(
            "the sigmoid was rounded to 0, whose logarithm is minus infinity; F.logsigmoid goes on",
            lambda w, l, rw, rl, beta: -torch.log(torch.sigmoid(beta * (w - l - rw + rl))),
        ),
    ),
)
def dpo(answer, solution):
    four = [torch.tensor(x) for x in ([-3.0, -8.0], [-5.0, -6.0], [-4.0, -9.0], [-4.6, -7.5])]
    yield differs(answer(*four, 0.5), solution(*four, 0.5), "on two pairs")
    far = [torch.tensor([x]) for x in (-900.0, -10.0, -20.0, -20.0)]
    yield differs(answer(*far, 0.5), solution(*far, 0.5), "on a pair with a margin of -445")
