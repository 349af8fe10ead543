r"""Two gradients of one squared TD error: through the guess alone, or through the target as well.

$(r+\gamma V(s')-V(s))^2$ has V in it twice. TD learning and every critic here hold the target fixed and move V(s): the
semi-gradient. With the target left in the graph one gets the true gradient of the squared error, the naive residual
gradient (Sutton and Barto 2018, section 11.5), and it minimises what it promises; but the mean of a square holds the
variance of the target too, and where the next state is random, by the world or by a policy that draws, V can lower that
variance by being wrong. Both agree where nothing is random.
Left out: double sampling, which repairs it with a second next state drawn from the same place (Baird 1995).

Shapes: any (...); S states.
"""

import numpy as np

from llmrl.rl.mdp import probabilities


def squared_td_error(values, rewards, next_values, terminated, gamma, residual=False):
    r"""$(r+\gamma(1-d)V(s')-V(s))^2$; a gradient goes through V(s') only for residual=True.  (...)"""
    following = next_values if residual else next_values.detach()
    return (rewards + gamma * (1 - terminated) * following - values) ** 2


def least_residual(mdp, policy, gamma, weights):
    """The values with the smallest mean squared TD error, where residual gradients end.  weights (S,) of visits -> (S,)

    States that are never met, and ends, get 0.
    """
    chances = np.asarray(weights)[:, None, None] * probabilities(policy, mdp.actions)[..., None] * mdp.P
    chances = np.where(mdp.terminal[:, None, None], 0.0, chances)
    s, a, t = np.nonzero(chances)
    alive, one = ~mdp.terminal, np.eye(mdp.states)
    rows = one[s] - gamma * one[t] * alive[t][:, None]  # V(s) - gamma V(s') for every transition
    root = np.sqrt(chances[s, a, t])
    values, *_ = np.linalg.lstsq(rows * root[:, None], mdp.R[s, a, t] * root, rcond=None)
    return np.where(alive, values, 0.0)
