r"""Bias and variance of GAE, exactly, on a world that is written down.

Follow the policy for ever after an action and add up the TD errors a critic makes of it, each fading by
$c=\gamma\lambda$: $X=\delta+cX'$. The mean and the mean square of such a sum obey linear equations, like values:
$m=\bar\delta+cPm$ and $M=\overline{(\delta+cX')^2}$ with $\overline{X'^2}=PM$. What a state's mean adds for all its
actions alike does not move a policy (it is a baseline), so the bias that counts is what is left when that is taken out.
Left out: rollouts that stop after a few steps, and critics that learn on the way.

Shapes: S states, A actions; the policy (S, A) of chances, values (S,), float64.
"""

import numpy as np

from llmrl.policy.advantages import action_advantages
from llmrl.policy.improvement import advantage
from llmrl.rl.mdp import probabilities


def moments(mdp, policy, values, gamma, lam):
    """The mean and the variance of GAE for every action, with a critic that says `values`.  -> two (S, A)"""
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(f"gamma and lam must lie in [0, 1], got {gamma} and {lam}")
    policy = probabilities(policy, mdp.actions)
    values = np.where(mdp.terminal, 0.0, values)
    delta = mdp.R + gamma * values - values[:, None, None]  # (S, A, S): the TD error of each transition
    c, P = gamma * lam, np.where(mdp.terminal[:, None, None], 0.0, mdp.P)
    to, follow = np.einsum("sa,sat->st", policy, P), np.eye(mdp.states)
    one = (P * delta).sum(-1)  # (S, A)
    m = np.linalg.solve(follow - c * to, (policy * one).sum(-1))  # (S,): the mean before the action is chosen
    square = (P * (delta**2 + 2 * c * delta * m)).sum(-1)
    M = np.linalg.solve(follow - c**2 * to, (policy * square).sum(-1))
    mean, second = one + c * P @ m, square + c**2 * P @ M
    return mean, np.maximum(second - mean**2, 0.0)


def bias_and_spread(mdp, policy, values, gamma, lam, weights):
    r"""Root mean squares over states and actions: of the bias that moves a policy, and of the spread.  -> two numbers

    weights (S,): how often each state is met; actions count by their chances.
    """
    policy = probabilities(policy, mdp.actions)
    mean, variance = moments(mdp, policy, values, gamma, lam)
    bias = action_advantages(mean, policy) - advantage(mdp, policy, gamma)
    shares = weights[:, None] * policy / weights.sum()
    return float(np.sqrt((shares * bias**2).sum())), float(np.sqrt((shares * variance).sum()))
