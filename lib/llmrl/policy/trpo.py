r"""Trust region policy optimization: the largest improvement within a given distance of the old policy.

Among all steps whose mean KL from the old policy stays below $\delta$, TRPO (Schulman et al. 2015, arXiv:1502.05477)
takes the one that raises the surrogate most. Near the old policy the KL is a bowl, $\frac12x^\top Fx$ with the Fisher
matrix F, and the best step is along $F^{-1}g$, the natural gradient. F is never written down: its product with a vector
is two backward passes, and conjugate gradients need nothing else to solve $Fx=g$. The bowl is only an approximation, so
the step is then shortened until the KL itself obeys and the surrogate itself has risen.
Left out: a trunk shared with the critic, whose own step would move the policy as well.

Shapes: K learners side by side, B states each, P parameters of one learner.
"""

from dataclasses import dataclass, fields, replace

import torch

from llmrl.lm.logprobs import masked_mean


@dataclass(frozen=True)
class TrustRegion:
    """The dials of a step."""

    bound: float = 0.01  # delta: the mean KL a step may make
    damping: float = 0.1  # added to F's diagonal
    solve: int = 10  # rounds of conjugate gradients
    shrink: float = 0.8  # a step that is refused is shortened by this
    tries: int = 10

    def __post_init__(self):
        if self.bound <= 0 or self.damping < 0 or not 0 < self.shrink < 1 or min(self.solve, self.tries) < 1:
            raise ValueError(
                f"a trust region needs bound > 0, damping >= 0, 0 < shrink < 1 and one or more rounds and tries, got "
                f"{self}"
            )


def flat(tensors):
    """Each learner's numbers in one row.  (K, ...) each -> (K, P)"""
    return torch.cat([x.flatten(1) for x in tensors], 1)


@torch.no_grad()
def assign(parameters, rows):
    """The way back from flat(): write each learner's row into its parameters.  rows (K, P)"""
    for parameter, part in zip(parameters, rows.split([p[0].numel() for p in parameters], 1)):
        parameter.copy_(part.view_as(parameter))


def remembered(dist):
    """The distribution as it is now, in tensors of its own: a view of a parameter would move along with it."""
    return replace(dist, **{f.name: getattr(dist, f.name).detach().clone() for f in fields(dist)})


def fisher_product(kl, parameters):
    r"""$v\mapsto Fv$: differentiate the KL, multiply by v, differentiate again.  kl (K,) at the old policy

    The learners share nothing, so one derivative of their sum is each one's own.
    """
    slope = flat(torch.autograd.grad(kl.sum(), parameters, create_graph=True))  # (K, P), zero there: the bowl's bottom

    def product(v):
        return flat(torch.autograd.grad((slope * v).sum(), parameters, retain_graph=True))

    return product


def dot(a, b):
    """Row by row.  (..., P) -> (..., 1)"""
    return (a * b).sum(-1, keepdim=True)


def conjugate_gradient(product, b, rounds=10, tol=1e-10):
    """Solve Fx = b for F symmetric and positive, given only product(v) = Fv.  b (..., P), one system per row

    A row whose residual is at most tol, squared and summed, is left as it is.
    """
    x, residual, direction = torch.zeros_like(b), b.clone(), b.clone()
    size = dot(b, b)
    for _ in range(rounds):
        going = size > tol
        if not going.any():
            break
        bent = product(direction)
        length = torch.where(going, size / dot(direction, bent), 0.0)
        x, residual = x + length * direction, residual - length * bent
        before, size = size, dot(residual, residual)
        direction = torch.where(going, residual + size / before * direction, direction)
    return x


def full_step(direction, bent, bound):
    r"""The direction x, as long as the bowl allows: $x\sqrt{2\delta/x^\top Fx}$.  direction, bent = Fx (K, P)"""
    curve = dot(direction, bent)
    return torch.where(curve > 0, direction * (2 * bound / curve.clamp(min=1e-30)).sqrt(), 0.0)


@torch.no_grad()
def line_search(look, parameters, full, config):
    """Shorten each learner's step until the bound holds and the surrogate has risen; give up after so many tries.

    look() -> the surrogate and the KL (K,) each, as the parameters are now.  -> {"gain", "kl", "tries": (K,) each}
    """
    start, length, tries = flat(parameters).clone(), torch.ones(len(full), 1), torch.ones(len(full))
    before, _ = look()
    for n in range(config.tries):
        assign(parameters, start + length * full)
        now, kl = look()
        good = (now > before) & (kl <= config.bound)
        if good.all() or n == config.tries - 1:
            break
        length, tries = torch.where(good[:, None], length, config.shrink * length), tries + ~good
    assign(parameters, start + torch.where(good[:, None], length, 0.0) * full)
    return {"gain": torch.where(good, now - before, 0.0), "kl": torch.where(good, kl, 0.0), "tries": tries}


def gain_and_kl(dist, old, actions, adv, live):
    r"""The mean of $\rho A$ and the mean of the KL from the old policy, over live steps.  -> (K,) each"""
    ratio = (dist.logp(actions) - old.logp(actions)).exp()
    return masked_mean(ratio * adv, live, 1), masked_mean(old.kl(dist), live, 1)


def natural_gradient(look, parameters, config):
    r"""$F^{-1}g$ as long as the bowl allows: the step TRPO tries first.  look as above, at the old policy -> (K, P)"""
    gain, kl = look()
    g = flat(torch.autograd.grad(gain.sum(), parameters, retain_graph=True))
    product = fisher_product(kl, parameters)

    def damped(v):
        return product(v) + config.damping * v

    direction = conjugate_gradient(damped, g, config.solve)
    return full_step(direction, damped(direction), config.bound)


def step(policy, parameters, states, actions, adv, live, config=TrustRegion()):
    """One update of each learner's policy, in place.  -> {"gain", "kl", "tries": (K,) each}

    policy(states) -> a distribution; parameters: what it depends on.  states (K, B, D), adv and live (K, B)
    """
    old = remembered(policy(states))

    def look():
        return gain_and_kl(policy(states), old, actions, adv, live)

    full = natural_gradient(look, parameters, config)
    return line_search(look, parameters, full, config)
