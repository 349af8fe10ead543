r"""The bias and the variance of a target, exactly.

Hold the guess V still and ask what an n-step return from a state would be, over all that may happen. Its mean differs
from the true value by $\gamma^n P_\pi^n(V-V_\pi)$: the guess's error, seen from n steps away, which shrinks. Its
variance tends to grow, since more rewards and more turns of the road are in it. Both follow from a recursion over n: a
return is one step and the shorter return behind it.
Left out: the lambda-return; a guess learned from the same episode, which is correlated with the return.

Shapes: S states, A actions.
"""

import numpy as np

from llmrl.rl.mdp import probabilities


def n_step_moments(mdp, policy, values, n, gamma):
    """Mean (S,) and variance (S,) of the n-step return from each state, with the guess values (S,) held still."""
    if not isinstance(n, (int, np.integer)) or n < 1:
        raise ValueError(f"n must be a whole number of 1 or more steps, got {n!r}")
    joint, values = _joint(mdp, policy), _guess(mdp, values)
    mean, square = values, values**2
    for _ in range(n):
        mean, square = _step(joint, mdp.R, mean, square, gamma)
    return mean, np.maximum(square - mean**2, 0.0)


def _joint(mdp, policy):
    """(S, A, S) chances of an action and where it leads; none from a terminal state."""
    return probabilities(policy, mdp.actions)[..., None] * mdp.P * ~mdp.terminal[:, None, None]


def _guess(mdp, values):
    values = np.asarray(values, dtype=float)
    if values.shape != (mdp.states,):
        raise ValueError(f"the guess must hold one value per state, ({mdp.states},), got {values.shape}")
    return np.where(mdp.terminal, 0.0, values)


def _step(joint, R, mean, square, gamma):
    """One step in front of a return of known mean and mean square.  (S,), (S,) -> (S,), (S,)"""
    longer = (joint * (R + gamma * mean)).sum((1, 2))
    squares = (joint * (R**2 + 2 * gamma * R * mean + gamma**2 * square)).sum((1, 2))
    return longer, squares
