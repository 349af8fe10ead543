"""Exercises on the KL of RLHF: an estimate of it from one token, and what that estimate teaches.

The checkers probe where neighbours nearly agree, where a sign or a direction was turned, and what must not be
differentiated. Left out: the KL of whole texts.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "rlhf.k3",
    title="Unbiased and never negative",
    signature="k3(logp: (B, T), ref_logp: (B, T)) -> (B, T)",
    solution="llmrl.rlhf.kl.k3",
    minutes=8,
    difficulty=1,
    hints=(
        "k3 is r - 1 - log r, and r is the reference's probability over the policy's. Which of the two logarithms is "
        "subtracted from which?",
        "Where r is nearly 1, r - 1 loses its digits in float32: r.exp() - 1 of a tiny logarithm is better written "
        "log_r.expm1().",
    ),
    wrong=(
        Wrong(
            "near 0 the digits are gone: exp(log r) is rounded to a neighbour of 1 before 1 is taken off; expm1 keeps "
            "them",
            lambda logp, ref: (ref - logp).exp() - 1 - (ref - logp),
        ),
        Wrong(
            "r is the policy over the reference here; tokens of the policy need the reference over the policy",
            lambda logp, ref: (logp - ref).expm1() - (logp - ref),
        ),
        Wrong(
            "the logarithm has the wrong sign: r - 1 is at least log r, so log r is taken off",
            lambda logp, ref: (ref - logp).expm1() + (ref - logp),
        ),
        Wrong("this is k1; r - 1 belongs to it, which is 0 on average", lambda logp, ref: logp - ref),
        Wrong(
            "this is k2, half the squared logarithm: like k3 between neighbours, and biased further away",
            lambda logp, ref: (logp - ref).square() / 2,
        ),
        Wrong("the 1 is missing; without it the estimate is 1 where both agree", lambda logp, ref: (ref - logp).exp()
              - (ref - logp)),
        Wrong("r - 1 alone is 0 on average; log r is missing", lambda logp, ref: (ref - logp).expm1()),
        Wrong(
            "one number per token is asked for, not the mean",
            lambda logp, ref: ((ref - logp).expm1() - (ref - logp)).mean(),
        ),
    ),
)  # fmt: skip
def k3(answer, solution):
    logp = torch.tensor([[-0.5, -2.0, -4.0], [-1.0, -1.0, -0.1]])
    ref_logp = torch.tensor([[-1.5, -1.0, -4.0], [-3.0, -0.2, -2.5]])
    yield differs(answer(logp, ref_logp), solution(logp, ref_logp), "on two rows of three tokens")
    near = logp + torch.tensor([1e-3, -2e-3, 3e-3])
    case = "times a million, where the two differ in the third digit"
    yield differs(answer(logp, near) * 1e6, solution(logp, near) * 1e6, case, tol=2e-2)


def _mean_slope(estimate, logits, ref_logits, chances=lambda p, r: p.detach(), sign=1, reduce=torch.sum):
    leaf = logits.detach().requires_grad_()
    logp, ref_logp = leaf.log_softmax(-1), ref_logits.log_softmax(-1)
    value = sign * reduce(chances(logp.exp(), ref_logp.exp()) * estimate(logp, ref_logp))
    return torch.autograd.grad(value, leaf)[0]


def _as_reward(estimate, logits, ref_logits):
    return _mean_slope(lambda logp, ref: estimate(logp, ref).detach() * logp, logits, ref_logits)


def _of_the_kl(estimate, logits, ref_logits):
    return _mean_slope(lambda logp, ref: logp - ref, logits, ref_logits, chances=lambda p, r: p)


@exercise(
    "rlhf.loss_gradient",
    title="What back-propagation through an estimate does on average",
    signature="loss_gradient(estimate, logits: (.., V), ref_logits: (.., V)) -> (.., V)",
    solution="llmrl.rlhf.kl_gradients.loss_gradient",
    minutes=12,
    difficulty=2,
    hints=(
        "A sampler draws token v with chance pi(v), then autograd differentiates the estimate at v. It never "
        "differentiates the chance. So write the sum over all tokens with chances that have no gradient.",
        "leaf = logits.detach().requires_grad_(); logp = leaf.log_softmax(-1); the loss is (logp.exp().detach() * "
        "estimate(logp, ref_logits.log_softmax(-1))).sum(); torch.autograd.grad(loss, leaf)[0] is the answer.",
    ),
    wrong=(
        Wrong("this is the gradient of the KL itself, whatever the estimate", _of_the_kl),
        Wrong(
            "the chances were differentiated too: that is the gradient of the mean, which back-propagation through "
            "samples does not see; .detach() them",
            lambda k, x, ref: _mean_slope(k, x, ref, chances=lambda p, r: p),
        ),
        Wrong(
            "this is the estimate as a price: its value times the slope of log pi. Asked is the slope of the estimate",
            _as_reward,
        ),
        Wrong(
            "every token counted alike; the policy draws token v with chance pi(v)",
            lambda k, x, ref: _mean_slope(k, x, ref, chances=lambda p, r: torch.full_like(p, 1 / p.shape[-1])),
        ),
        Wrong(
            "the tokens were drawn from the reference; they come from the policy",
            lambda k, x, ref: _mean_slope(k, x, ref, chances=lambda p, r: r),
        ),
        Wrong(
            "divided by the number of tokens as well: the chances already add up to 1, so take the sum",
            lambda k, x, ref: _mean_slope(k, x, ref, reduce=torch.mean),
        ),
        Wrong("the sign is turned: this is the way down", lambda k, x, ref: _mean_slope(k, x, ref, sign=-1)),
    ),
)
def loss_gradient(answer, solution):
    from llmrl.rlhf import kl

    logits = torch.tensor([1.0, 0.0, -1.0, 2.0], dtype=torch.float64)
    ref_logits = torch.tensor([0.0, 0.5, 0.0, 1.0], dtype=torch.float64)
    for name in ("k2", "k3", "k1"):
        estimate = getattr(kl, name)
        yield differs(answer(estimate, logits, ref_logits), solution(estimate, logits, ref_logits), f"on {name}")
    rows = torch.stack([logits, logits.flip(0)]), torch.stack([ref_logits, logits])
    yield differs(answer(kl.k3, *rows), solution(kl.k3, *rows), "on k3 at two positions, (2, V)")
