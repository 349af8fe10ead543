"""Exercises on trust regions.

Each checker probes what people get wrong: steps that were not played, a direction that forgets the ones before it, a
length that is off by a root, a price that moves the wrong way, a corner in which the clip does nothing.
Left out: the loops around them.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "policy.trajectory_weights",
    title="The weight of an episode",
    signature="trajectory_weights(logp: (T, N), old_logp: (T, N), live: (T, N) bool) -> (N,)",
    solution="llmrl.policy.importance.trajectory_weights",
    minutes=7,
    difficulty=1,
    hints=(
        "A product of ratios is the exponential of a sum of differences of logarithms.",
        "torch.where(live, logp - old_logp, 0.0), summed over time; only then exp(). `where` and not `*`: a step that "
        "was not played may hold inf, and inf * 0 is nan.",
    ),
    wrong=(
        Wrong(
            "steps that were not played were counted; they say nothing about either policy",
            lambda p, q, live: (p - q).sum(0).exp(),
        ),
        Wrong(
            "the logarithms' differences were averaged: that is the geometric mean of the ratios, not their product",
            lambda p, q, live: (torch.where(live, p - q, 0.0).sum(0) / live.sum(0)).exp(),
        ),
        Wrong(
            "the ratios were added up; an episode's chance is a product",
            lambda p, q, live: torch.where(live, (p - q).exp(), 0.0).sum(0),
        ),
        Wrong(
            "the ratio is upside down: the policy we ask about goes on top, the one that acted below",
            lambda p, q, live: torch.where(live, q - p, 0.0).sum(0).exp(),
        ),
        Wrong(
            "this is the logarithm of the weight; take exp() of it",
            lambda p, q, live: torch.where(live, p - q, 0.0).sum(0),
        ),
        Wrong(
            "log-probabilities were divided; subtract them",
            lambda p, q, live: torch.where(live, p / q, 1.0).prod(0),
        ),
        Wrong(
            "the sum ran over the episodes; a weight belongs to one episode, over its steps",
            lambda p, q, live: torch.where(live, p - q, 0.0).sum(1).exp(),
        ),
    ),
)
def trajectory_weights(answer, solution):
    logp = torch.tensor([[-0.1, -2.0, -1.0], [-0.4, -0.3, -1.5], [-1.0, -0.2, -0.6]])
    old_logp = torch.tensor([[-0.5, -1.0, -1.2], [-0.7, -0.9, -1.1], [-0.3, -0.8, -0.6]])
    live = torch.ones(3, 3, dtype=torch.bool)
    yield differs(answer(logp, old_logp, live), solution(logp, old_logp, live), "where every step was played")
    live[2, 0] = live[1:, 2] = False
    yield differs(answer(logp, old_logp, live), solution(logp, old_logp, live), "where two episodes ended early")
    old_logp[2, 0] = -torch.inf
    yield differs(answer(logp, old_logp, live), solution(logp, old_logp, live), "where a dead step holds -inf")


def _rounds(product, b, rounds, mix=lambda new, old: new / old, length=None, sign=-1.0, late=False):
    """Conjugate gradients with the places where people go wrong as arguments; a residual of 0 ends them."""
    x, residual, direction, size = torch.zeros_like(b), b.clone(), b.clone(), b @ b
    for _ in range(rounds):
        if size == 0:
            break
        bent = product(direction)
        far = size / (direction @ (bent if length is None else length(direction, bent)))
        x, before = x + far * direction, residual
        residual = residual + sign * far * bent
        new = residual @ residual
        direction = (before if late else residual) + mix(new, size) * direction
        size = new
    return x


@exercise(
    "policy.conjugate_gradient",
    title="Solving without a matrix",
    signature="conjugate_gradient(product: v (P,) -> F v (P,), b: (P,), rounds) -> (P,)",
    solution="llmrl.policy.trpo.conjugate_gradient",
    minutes=12,
    difficulty=2,
    hints=(
        "Keep three vectors: the solution so far x = 0, the residual r = b, the direction p = b. Each round calls "
        "product once: Fp.",
        "far = r.r / p.Fp; x += far p; r -= far Fp; then p = r + (new r.r / old r.r) p. Stop when r.r is 0.",
    ),
    wrong=(
        Wrong(
            "every direction is the bare residual: that is steepest descent, which undoes in one round what it won in "
            "another",
            lambda product, b, rounds: _rounds(product, b, rounds, mix=lambda new, old: 0 * new),
        ),
        Wrong(
            "the share of the old direction is upside down: the new squared residual goes on top",
            lambda product, b, rounds: _rounds(product, b, rounds, mix=lambda new, old: old / new),
        ),
        Wrong(
            "the length was divided by p.p; the bowl's curve along p is p.Fp",
            lambda product, b, rounds: _rounds(product, b, rounds, length=lambda p, bent: p),
        ),
        Wrong(
            "the residual grows: what the step has explained is to be taken off",
            lambda product, b, rounds: _rounds(product, b, rounds, sign=1.0),
        ),
        Wrong(
            "the new direction was made from the old residual; update the residual first",
            lambda product, b, rounds: _rounds(product, b, rounds, late=True),
        ),
        Wrong(
            "the share of the old direction is the root of what it should be: the residuals enter squared",
            lambda product, b, rounds: _rounds(product, b, rounds, mix=lambda new, old: (new / old).sqrt()),
        ),
        Wrong(
            "one round is missing",
            lambda product, b, rounds: _rounds(product, b, rounds - 1),
        ),
        Wrong(
            "this multiplies by the matrix; asked is the x that it turns into b",
            lambda product, b, rounds: product(b),
        ),
    ),
)
def conjugate_gradient(answer, solution):
    two, b = torch.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=torch.float64), torch.tensor([1.0, 2.0], dtype=torch.float64)
    for rounds in (1, 2):
        got, want = (solve(lambda v: two @ v, b, rounds) for solve in (answer, solution))
        yield differs(got, want, f"on two equations, {rounds} round{'s' * (rounds > 1)}")
    root = torch.tensor(
        [[2.0, 0.0, 1.0, 0.0], [0.0, 1.0, 0.5, 0.0], [0.0, 0.0, 1.5, 1.0], [0.3, 0.0, 0.0, 1.0]]
    ).double()
    four, b = root @ root.T, torch.tensor([1.0, -1.0, 0.5, 2.0], dtype=torch.float64)
    for rounds in (3, 4):
        got, want = (solve(lambda v: four @ v, b, rounds) for solve in (answer, solution))
        yield differs(got, want, f"on four equations, {rounds} rounds")
    got, want = (solve(lambda v: two @ v, 0 * b[:2], 3) for solve in (answer, solution))
    yield differs(got, want, "where b is 0 and there is nothing to do")


def _dot(a, b):
    return (a * b).sum(-1, keepdim=True)


@exercise(
    "policy.full_step",
    title="As far as the bound allows",
    signature="full_step(direction: (K, P), bent: (K, P), bound) -> (K, P)",
    solution="llmrl.policy.trpo.full_step",
    minutes=7,
    difficulty=2,
    hints=(
        "A step s x costs a KL of s^2 (x.Fx) / 2. For which s is that the bound? x.Fx is a sum over the last axis.",
        "s = (2 * bound / (direction * bent).sum(-1, keepdim=True)).sqrt(); where the sum is 0 there is no direction: "
        "torch.where keeps that row 0.",
    ),
    wrong=(
        Wrong(
            "the one half of the bowl is missing: the KL of a step x is x.Fx / 2",
            lambda x, bent, bound: torch.where(_dot(x, bent) > 0, x * (bound / _dot(x, bent)).sqrt(), 0.0),
        ),
        Wrong(
            "the root is missing: twice the step costs four times the KL",
            lambda x, bent, bound: torch.where(_dot(x, bent) > 0, x * 2 * bound / _dot(x, bent), 0.0),
        ),
        Wrong(
            "this measures the step by its own length, as if every direction cost the same; F is what makes it a KL",
            lambda x, bent, bound: torch.where(_dot(x, x) > 0, x * (2 * bound / _dot(x, x)).sqrt(), 0.0),
        ),
        Wrong(
            "the learners were added together; each has a step of its own",
            lambda x, bent, bound: x * (2 * bound / (x * bent).sum()).sqrt(),
        ),
        Wrong(
            "a row without a direction became nan, 0 times infinity: leave it where it is",
            lambda x, bent, bound: x * (2 * bound / _dot(x, bent)).sqrt(),
        ),
        Wrong(
            "the step was taken along Fx; the direction is x",
            lambda x, bent, bound: torch.where(_dot(x, bent) > 0, bent * (2 * bound / _dot(x, bent)).sqrt(), 0.0),
        ),
    ),
)
def full_step(answer, solution):
    direction, bent = torch.tensor([[1.0, 2.0], [0.5, -1.0]]), torch.tensor([[3.0, 0.5], [1.0, -4.0]])
    for bound in (0.01, 0.5):
        got, want = answer(direction, bent, bound), solution(direction, bent, bound)
        yield differs(got, want, f"with a bound of {bound}")
    none = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
    yield differs(answer(none, 2 * none, 0.1), solution(none, 2 * none, 0.1), "where one learner has no direction")


def _price(beta, kl, target, high=2.0, low=0.5, slack=1.5, slack_low=None):
    below = kl < target / (slack if slack_low is None else slack_low)
    return torch.where(kl > slack * target, high * beta, torch.where(below, low * beta, beta))


@exercise(
    "policy.adapt",
    title="The price of distance",
    signature="adapt(beta: (K,), kl: (K,), target) -> (K,)",
    solution="llmrl.policy.penalty.adapt",
    minutes=5,
    difficulty=1,
    hints=(
        "Went too far: distance was too cheap. Between two thirds of the target and one and a half times it, leave it.",
        "torch.where(kl > 1.5 * target, 2 * beta, torch.where(kl < target / 1.5, beta / 2, beta))",
    ),
    wrong=(
        Wrong(
            "the price moves the wrong way: whoever went too far should pay more",
            lambda beta, kl, target: _price(beta, kl, target, high=0.5, low=2.0),
        ),
        Wrong(
            "there is a range around the target in which the price stays as it is",
            lambda beta, kl, target: _price(beta, kl, target, slack=1.0),
        ),
        Wrong(
            "1.5 says how far off the KL may be; the price itself moves by a factor of 2",
            lambda beta, kl, target: _price(beta, kl, target, high=1.5, low=1 / 1.5),
        ),
        Wrong(
            "the price rises but never falls; a policy that hardly moves pays too much",
            lambda beta, kl, target: _price(beta, kl, target, low=1.0),
        ),
        Wrong(
            "the lower end is the target divided by 1.5, not times 1.5",
            lambda beta, kl, target: _price(beta, kl, target, slack_low=1 / 1.5),
        ),
        Wrong(
            "this follows the KL in proportion; the rule knows only double, half and stay",
            lambda beta, kl, target: beta * kl / target,
        ),
        Wrong(
            "the two factors of the range are 2 here; it ends at 1.5 and 1/1.5 of the target",
            lambda beta, kl, target: _price(beta, kl, target, slack=2.0),
        ),
    ),
)
def adapt(answer, solution):
    beta, kl = torch.tensor([1.0, 1.0, 3.0, 0.5, 2.0, 2.0]), torch.tensor([0.1, 0.018, 0.012, 0.009, 0.0055, 0.0])
    yield differs(answer(beta, kl, 0.01), solution(beta, kl, 0.01), "on six updates with target 0.01")
    yield differs(answer(beta, kl, 0.05), solution(beta, kl, 0.05), "with target 0.05")


@exercise(
    "policy.clip",
    title="The clipped surrogate",
    signature="clip(ratio: (B,), adv: (B,), low=0.2, high=0.2) -> (B,)",
    solution="llmrl.policy.surrogate.clip",
    minutes=8,
    difficulty=2,
    hints=(
        "Two candidates: the plain ratio * adv, and that with the ratio kept in [1 - low, 1 + high]. Which of them?",
        "The smaller one, whatever the sign of adv: torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv).",
    ),
    wrong=(
        Wrong("nothing is clipped: this is the plain surrogate", lambda r, a, low=0.2, high=0.2: r * a),
        Wrong(
            "always clipped: a ratio that went the wrong way has lost its gradient and is never corrected",
            lambda r, a, low=0.2, high=0.2: r.clamp(1 - low, 1 + high) * a,
        ),
        Wrong(
            "the larger of the two was taken: this is clipped where it should not be and nowhere else",
            lambda r, a, low=0.2, high=0.2: torch.maximum(r * a, r.clamp(1 - low, 1 + high) * a),
        ),
        Wrong(
            "the minimum was taken over the ratios; multiply by adv first, since a negative one turns the order round",
            lambda r, a, low=0.2, high=0.2: torch.minimum(r, r.clamp(1 - low, 1 + high)) * a,
        ),
        Wrong(
            "for a negative advantage the ratio was kept from above; there it is kept from below, at 1 - low",
            lambda r, a, low=0.2, high=0.2: torch.where(a > 0, r.clamp(max=1 + high), r.clamp(max=1 - low)) * a,
        ),
        Wrong(
            "clipped to the interval from low to high; it is 1 - low to 1 + high",
            lambda r, a, low=0.2, high=0.2: torch.minimum(r * a, r.clamp(min(low, high), max(low, high)) * a),
        ),
        Wrong(
            "low and high are exchanged",
            lambda r, a, low=0.2, high=0.2: torch.minimum(r * a, r.clamp(1 - high, 1 + low) * a),
        ),
        Wrong(
            "this is a loss; asked is the objective, to be made large",
            lambda r, a, low=0.2, high=0.2: -torch.minimum(r * a, r.clamp(1 - low, 1 + high) * a),
        ),
    ),
)
def clip(answer, solution):
    ratio, adv = torch.tensor([0.5, 0.9, 1.5, 0.5, 0.9, 1.5]), torch.tensor([1.0, 1.0, 1.0, -1.0, -1.0, -1.0])
    yield differs(answer(ratio, adv), solution(ratio, adv), "on three ratios for a good action, then for a bad one")
    adv = torch.tensor([2.0, -1.0, 0.0, 3.0, -0.5, 1.0])
    yield differs(answer(ratio, adv, 0.3, 0.05), solution(ratio, adv, 0.3, 0.05), "with low 0.3 and high 0.05")
