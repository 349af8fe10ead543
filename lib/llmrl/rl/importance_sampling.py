r"""Importance weights: judging one policy by the episodes of another.

An episode that behaviour b produced counts $\prod_t\pi(a_t|s_t)/b(a_t|s_t)$ times for policy pi: as often as pi would
have produced it, in units of how often b did. The plain weighted mean is right on average (Precup, Sutton and Singh
2000); dividing by the sum of the weights instead of their number gives up that and wobbles far less. Both need b to do
whatever pi might. The number of factors is the length of the episode, and that is the trouble.
Left out: weights step by step, weights cut off above.

Shapes: T steps, N episodes, S states, A actions.
"""

import numpy as np


def episode_weights(episodes, policy, behaviour):
    r"""$\prod_t\pi(a_t|s_t)/b(a_t|s_t)$ over the steps that were played.  policy, behaviour (S, A) -> (N,)"""
    policy, behaviour = np.asarray(policy, dtype=float), np.asarray(behaviour, dtype=float)
    if ((policy > 0) & (behaviour <= 0)).any():
        s, a = (int(i) for i in np.argwhere((policy > 0) & (behaviour <= 0))[0])
        raise ValueError(
            f"behaviour must be able to do whatever the policy does, and in state {s} it never takes action {a}: no "
            f"weight repairs what is not in the log"
        )
    at = episodes.states[:-1], episodes.actions
    safe = np.where(behaviour > 0, behaviour, 1.0)
    return np.where(episodes.live, policy[at] / safe[at], 1.0).prod(0)


def ordinary(weights, returns):
    r"""$\frac1N\sum_i\rho_i G_i$, right on average.  both (..., N) -> (...)"""
    return (weights * returns).mean(-1)


def weighted(weights, returns):
    r"""$\sum_i\rho_i G_i\,/\sum_i\rho_i$; nan where every weight is 0.  both (..., N) -> (...)"""
    total = weights.sum(-1)
    return np.divide((weights * returns).sum(-1), total, out=np.full(np.shape(total), np.nan), where=total > 0)


def effective_size(weights):
    r"""$(\sum_i\rho_i)^2/\sum_i\rho_i^2$: how many episodes of equal weight are worth as much.  (..., N) -> (...)"""
    square = (weights**2).sum(-1)
    return np.divide(weights.sum(-1) ** 2, square, out=np.zeros(np.shape(square)), where=square > 0)
