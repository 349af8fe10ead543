r"""What one policy's samples promise about another, and how far the promise holds; exactly, on worlds written down.

The difference between two policies is the old one's advantage, met on the new one's way (Kakade and Langford 2002):

$$J(\pi)=J(\pi_{old})+\sum_s d_\pi(s)\sum_a\pi(a|s)\,A_{old}(s,a).$$

Samples come from the old way. The surrogate puts $d_{old}$ in place of $d_\pi$: right in value and in slope where the
policies are equal, wrong further off, as far as the new policy goes elsewhere. Schulman et al. 2015 (arXiv:1502.05477)
bound the error by the largest KL over states: a step that is small in KL can be trusted.
Left out: bounds on the mean KL, which is what algorithms measure.

Shapes: S states, A actions; policies (S, A) of chances, float64.
"""

import numpy as np

from llmrl.policy.advantages import action_advantages
from llmrl.policy.score import visits
from llmrl.rl.mdp import probabilities
from llmrl.rl.planning import policy_evaluation, q_from_v


def performance(mdp, policy, gamma):
    r"""$J(\pi)$: what an episode earns, discounted."""
    return float(mdp.start @ policy_evaluation(mdp.P, mdp.R, policy, gamma))


def advantage(mdp, policy, gamma):
    r"""$A_\pi(s,a)=q_\pi(s,a)-v_\pi(s)$.  -> (S, A)"""
    q = q_from_v(mdp.P, mdp.R, policy_evaluation(mdp.P, mdp.R, policy, gamma), gamma)
    return action_advantages(q, probabilities(policy, mdp.actions))


def gain(mdp, policy, old, gamma, on=None):
    r"""$\sum_s d(s)\sum_a\pi(a|s)A_{old}(s,a)$ on the old policy's way, or on another's: on=policy makes it exact."""
    way = visits(mdp, old if on is None else on, gamma)
    return float((way[:, None] * probabilities(policy, mdp.actions) * advantage(mdp, old, gamma)).sum())


def worst_kl(policy, old):
    r"""$\max_s\mathrm{KL}(\pi_{old}(\cdot|s)\,\|\,\pi(\cdot|s))$; inf where the new policy gave something up."""
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(old > 0, old * np.log(old / policy), 0.0)
    return float(terms.sum(-1).max())


def promised(mdp, policy, old, gamma):
    r"""At least so much more than the old policy: $\text{gain}-\frac{4\epsilon\gamma}{(1-\gamma)^2}\max_s\mathrm{KL}$.

    $\epsilon=\max_{s,a}|A_{old}|$.  (Schulman et al. 2015, theorem 1, with J and the gain summed over the way as here)
    """
    epsilon = np.abs(advantage(mdp, old, gamma)[~mdp.terminal]).max()
    return gain(mdp, policy, old, gamma) - 4 * epsilon * gamma / (1 - gamma) ** 2 * worst_kl(policy, old)
