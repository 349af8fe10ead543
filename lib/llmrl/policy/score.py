r"""The policy gradient theorem on a world that is written down: one gradient, by several roads.

How good a policy is, J, is what an episode is worth when it starts. The theorem says how J changes with the policy
without a derivative of the world:

$$\nabla J=\sum_s d_\gamma(s)\sum_a\pi(a|s)\,Q(s,a)\,\nabla\log\pi(a|s),\qquad d_\gamma(s)=\sum_t\gamma^t\Pr(s_t=s)$$

(Sutton, McAllester, Singh and Mansour 2000). $\nabla\log\pi$ is called the score. Where the world is known, the sum
can be added up exactly, J can be differentiated through the equations of its values, and one can walk a little to
either side; where it is not, an episode played by the policy gives a number that is right on average. Here the policy
is a table of scores, one row of logits per state, read through softmax.
Left out: tables too large to hold; networks, for which autograd multiplies by one more derivative.

Shapes: S states, A actions, N episodes, T steps.
"""

import numpy as np
import torch

from llmrl.rl.mdp import chain, probabilities, reward
from llmrl.rl.planning import policy_evaluation
from llmrl.rl.returns import returns


def softmax_score(policy):
    r"""$\partial\log\pi(a)/\partial z_b=[a=b]-\pi(b)$: a row for each action a.  policy (..., A) -> (..., A, A)"""
    return np.eye(policy.shape[-1]) - policy[..., None, :]


def visits(mdp, policy, gamma):
    r"""$d_\gamma(s)=\sum_t\gamma^t\Pr(s_t=s)$: how often a state is met, later visits counting less; 0 at an end.  (S,)

    gamma = 1 counts plain visits, and needs a policy that ends from everywhere.
    """
    policy_evaluation(mdp.P, mdp.R, policy, gamma)  # refuses what has no finite answer
    to, _ = chain(mdp, policy)
    live, found = ~mdp.terminal, np.zeros(mdp.states)
    found[live] = np.linalg.solve(np.eye(live.sum()) - gamma * to[np.ix_(live, live)].T, mdp.start[live])
    return found


def policy_gradient(visits, policy, q):
    r"""$\sum_a d(s)\,\pi(a|s)\,Q(s,a)\,\nabla_{z_s}\log\pi(a|s)$.  visits (S,), policy and q (S, A) -> (S, A)

    By softmax's score it is $d(s)\,\pi(b|s)\,(Q(s,b)-V(s))$: an action gains by what it is better than the mean.
    """
    return np.einsum("s,sa,sa,sab->sb", visits, policy, q, softmax_score(policy))


def worth(mdp, policy, gamma):
    r"""$J=\sum_s\mathrm{start}(s)\,v_\pi(s)$ as a number autograd can follow.  policy (S, A) float64 tensor"""
    probabilities(policy.detach().numpy(), mdp.actions)
    live = torch.from_numpy(~mdp.terminal)
    P, pays = torch.tensor(mdp.P), torch.from_numpy(reward(mdp))
    to = torch.einsum("sa,sat->st", policy, P)[live][:, live]
    values = torch.linalg.solve(torch.eye(len(to), dtype=to.dtype) - gamma * to, (policy * pays).sum(-1)[live])
    return torch.from_numpy(mdp.start[~mdp.terminal]) @ values


def differences(f, theta, h=1e-4):
    """df/dtheta by a small step to either side of every entry.  f: tensor -> number, theta any shape -> same shape"""
    found = torch.zeros_like(theta)
    for i in range(theta.numel()):
        nudge = torch.zeros_like(theta)
        nudge.view(-1)[i] = h
        found.view(-1)[i] = (f(theta + nudge) - f(theta - nudge)) / (2 * h)
    return found


def score_sums(episodes, policy, weights):
    r"""$\sum_t w_t\,\nabla\log\pi(a_t|s_t)$ of every episode.  policy (S, A), weights (T, N) -> (N, S, A)

    With $w_t=\gamma^tG_t$ its mean over episodes is the gradient.
    """
    found = np.zeros((episodes.live.shape[1], *policy.shape))
    scores = softmax_score(policy)
    for s, a, w, live in zip(episodes.states, episodes.actions, weights, episodes.live):
        on = np.flatnonzero(live)
        found[on, s[on]] += w[on, None] * scores[s[on], a[on]]
    return found


def to_go(episodes, gamma):
    r"""$G_t$ of every step, and $\gamma^t$.  -> (T, N), (T, 1)"""
    later = returns(episodes.rewards, episodes.terminated, gamma)
    return later, gamma ** np.arange(len(later))[:, None]
