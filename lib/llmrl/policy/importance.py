r"""Importance weights: what samples of an old policy say about a new one.

A sample counts $\pi(a)/\pi_{old}(a)$ times, as often as the new policy would have drawn it in units of how often the
old one did. The weights average 1 and the weighted mean is right, wherever the old policy can do what the new one does.
What the correction costs is spread: the variance of one weight is the chi-square distance of the two policies, and an
episode multiplies one weight per step, so $1+\chi^2$ grows to the power of its length. Policy optimization therefore
weighs single steps, and moves little between two collections.
Left out: weights of rewards up to their own step, weights cut off above. Means of weighted returns, plain and divided
by the sum of weights, and the effective size live in llmrl.rl.importance_sampling.

Shapes: T steps, N episodes, A actions.
"""

import torch


def ratio(logp, old_logp):
    r"""$\pi(a|s)/\pi_{old}(a|s)$ of actions that the old policy took.  logp, old_logp (...) -> (...)"""
    if logp.shape != old_logp.shape:
        raise ValueError(
            f"logp and old_logp are of the same actions, got {tuple(logp.shape)} and {tuple(old_logp.shape)}: a column "
            f"beside a row would compare everything with everything"
        )
    if not old_logp.isfinite().all():
        raise ValueError(
            f"old_logp must be finite, got {old_logp[~old_logp.isfinite()][0].item()}: what the old policy could not "
            f"do, it did not do, so this is not its log-probability"
        )
    return (logp - old_logp).exp()


def trajectory_weights(logp, old_logp, live):
    r"""$\prod_t\pi(a_t|s_t)/\pi_{old}(a_t|s_t)$ over the steps that were played.  all (T, N) -> (N,)"""
    return torch.where(live, logp - old_logp, 0.0).sum(0).exp()


def chi_square(chances, old_chances):
    r"""$\sum_a\pi(a)^2/\pi_{old}(a)-1$: the variance of one weight; inf without support.  (..., A) -> (...)"""
    chances, old_chances = torch.as_tensor(chances), torch.as_tensor(old_chances)
    terms = torch.where(chances > 0, chances**2 / old_chances, 0.0)
    return terms.sum(-1) - 1


def unseen(chances, old_chances, pays):
    r"""$\sum_{a:\,\pi_{old}(a)=0}\pi(a)f(a)$: what no weight brings back of the new mean.  (..., A) -> (...)"""
    chances, old_chances = torch.as_tensor(chances), torch.as_tensor(old_chances)
    return torch.where(old_chances > 0, 0.0, chances * torch.as_tensor(pays)).sum(-1)
