r"""Every answer there is, in float64: alignment computed instead of sampled.

With all answers to a prompt in one list, an expectation is a sum, and what is usually estimated becomes an equation
that can be checked. RLHF maximises $J(\pi)=\sum_y\pi(y)r(y)-\beta\,\mathrm{KL}(\pi\,\|\,\pi_{ref})$. The best
policy is the Gibbs policy $\pi^*(y)=\pi_{ref}(y)e^{r(y)/\beta}/Z$, and every other one falls short of it by exactly
$\beta\,\mathrm{KL}(\pi\,\|\,\pi^*)$. `climb` gets there by the gradient of any objective, of $J$ or of DPO's loss
on exact preferences.
Left out: sampling, and answers too many to list.

Shapes: Y answers; any axes before it are prompts, each with a space of its own.
"""

import torch

from llmrl.preference.losses import dpo


def gibbs(ref_logp, reward, beta):
    r"""$\log\pi^*(y)=\log\pi_{ref}(y)+r(y)/\beta-\log Z$.  (.., Y) and (.., Y) -> (.., Y)"""
    check(beta, ref_logp=ref_logp, reward=reward)
    return (ref_logp + reward / beta).log_softmax(-1)


def log_partition(ref_logp, reward, beta):
    r"""$\log Z=\log\sum_y\pi_{ref}(y)e^{r(y)/\beta}$, one number per prompt.  (.., Y) -> (..)"""
    check(beta, ref_logp=ref_logp, reward=reward)
    return (ref_logp + reward / beta).logsumexp(-1)


def divergence(logp, ref_logp):
    r"""$\mathrm{KL}(\pi\,\|\,\pi_{ref})=\sum_y\pi(y)\log\frac{\pi(y)}{\pi_{ref}(y)}$.  (.., Y) -> (..)"""
    check(logp=logp, ref_logp=ref_logp)
    return torch.where(logp > -torch.inf, logp.exp() * (logp - ref_logp), 0.0).sum(-1)  # 0 log 0 is 0


def regularised_value(logp, ref_logp, reward, beta):
    r"""$\sum_y\pi(y)r(y)-\beta\,\mathrm{KL}(\pi\,\|\,\pi_{ref})$, what RLHF makes large.  (.., Y) -> (..)"""
    check(beta, logp=logp, ref_logp=ref_logp, reward=reward)
    return (logp.exp() * reward).sum(-1) - beta * divergence(logp, ref_logp)


def dpo_loss(logp, ref_logp, wins, beta):
    r"""DPO's loss summed over all pairs, each as often as it is chosen that way.  (Y), (Y), (Y, Y) -> a number

    wins[i, j] is how often i is preferred to j: a probability, a count of votes, or 0 for a pair that nobody compares.
    The sum is divided by that of `wins`: the loss of an average comparison.
    """
    check(logp=logp, ref_logp=ref_logp)
    if wins.shape != (len(logp), len(logp)) or not (wins >= 0).all() or wins.diagonal().any() or not wins.any():
        raise ValueError(
            f"wins must be (Y, Y), here ({len(logp)}, {len(logp)}), at least 0, not all 0, and 0 on its diagonal, got "
            f"{tuple(wins.shape)}: wins[i, j] says how often i is preferred to another answer j"
        )
    w, l = wins.nonzero().T
    return (wins[w, l] * dpo(logp[w], logp[l], ref_logp[w], ref_logp[l], beta)).sum() / wins.sum()


def climb(objective, logits, steps, rate, natural=False):
    r"""Gradient ascent on logits, a table's or a tree's; yields them after each step.

    natural=True, for a table (Y), divides each slope by its answer's probability. That is the natural gradient: how
    much an answer moves then depends on what it is worth, not on how often the policy gives it.
    """
    if not torch.is_floating_point(logits) or not rate > 0:
        raise ValueError(f"logits must be floats and rate above 0, got {logits.dtype} and {rate}: begin with 1.0")
    for _ in range(steps):
        leaf = logits.detach().requires_grad_()
        (slope,) = torch.autograd.grad(objective(leaf), leaf)
        logits = logits + rate * (slope / logits.softmax(-1) if natural else slope)
        yield logits


def check(beta=1.0, **tables):
    """One shape, no nan, log-probabilities that are some, and a price above 0."""
    shapes = {name: tuple(table.shape) for name, table in tables.items()}
    if len(set(shapes.values())) > 1 or 0 in (next(iter(shapes.values())) or (0,)):
        raise ValueError(f"every table needs one number per answer, (.., Y) with one answer or more, got {shapes}")
    for name, table in tables.items():
        if (wrong := table.isnan() | (table == torch.inf)).any():
            first = table[wrong][0].item()
            raise ValueError(f"{name} must hold numbers, got {first} for answer {int(wrong.nonzero()[0, -1])}")
        if name.endswith("logp") and ((total := table.detach().exp().sum(-1)) - 1).abs().max() > 1e-3:
            raise ValueError(
                f"{name} must be log-probabilities of all answers, their probabilities add up to "
                f"{total.flatten()[0].item():.4g}: scores.log_softmax(-1) makes them"
            )
    if not beta > 0:
        raise ValueError(f"beta must be above 0, got {beta}: it is the price of moving away from the reference")
