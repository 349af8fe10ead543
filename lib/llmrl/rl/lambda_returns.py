r"""The forward view of TD(lambda): a mixture of all n-step returns.

Which n is right? The lambda-return takes them all, n with weight $(1-\lambda)\lambda^{n-1}$, and what is left of the
weight for the whole episode. Written backwards it is one line: look a step ahead, and there believe the guess with
weight 1-lambda and the lambda-return with weight lambda. The view is called forward since it needs the future: it can
be computed when the episode is over, or again after each step, from what has been seen so far.
Left out: lambdas that differ from state to state; returns for actions of another policy.

Shapes: T steps, N players, S states.
"""

import numpy as np

from llmrl.rl.td import refuse, refuse_tables, td_target


def lambda_returns(rewards, next_values, terminated, gamma, lam):
    r"""$G_t=r_t+\gamma\,((1-\lambda)V(s_{t+1})+\lambda G_{t+1})$; nothing is added after a terminated step.  (T, ...)

    next_values[t] is $V(s_{t+1})$. Where the array stops without an end the guess takes all the weight.
    """
    refuse(rewards, next_values, terminated, gamma)
    if not 0 <= lam <= 1:
        raise ValueError(f"lambda must lie in [0, 1], got {lam}: 0 believes the next guess, 1 only rewards")
    mixed, ahead = np.zeros(np.shape(rewards)), next_values[-1]
    for t in reversed(range(len(mixed))):
        believed = (1 - lam) * next_values[t] + lam * ahead
        mixed[t] = ahead = td_target(rewards[t], believed, terminated[t], gamma)
    return mixed


def mixture(lam, steps):
    r"""The weights of the 1- to steps-step returns when an episode ends after that many steps.  -> (steps,)"""
    weights = (1 - lam) * lam ** np.arange(steps)
    weights[-1] = lam ** (steps - 1)
    return weights


def offline_forward(episodes, values, alpha, gamma, lam):
    r"""V(s) moves by the sum of $\alpha(G_t-V(s_t))$ over its visits, all from the old table.  values (N, S) -> new"""
    refuse_tables(episodes, values, alpha)
    rows = np.arange(len(values))
    targets = lambda_returns(episodes.rewards, values[rows, episodes.states[1:]], episodes.terminated, gamma, lam)
    moved, here = values.copy(), episodes.states[:-1]
    np.add.at(moved, (rows, here), alpha * episodes.live * (targets - values[rows, here]))
    return moved


def online_forward(episodes, values, alpha, gamma, lam):
    """The forward view, computed anew after every step from the steps seen so far.  values (N, S) -> new

    After h steps the episode counts as cut there; all h updates are made again, in order, from the first table. The
    guess for each state is the one held when the state was reached. Work grows with the square of the episode.
    """
    refuse_tables(episodes, values, alpha)
    rows, table = np.arange(len(values)), values
    guesses = np.zeros_like(episodes.rewards)
    for h in range(1, len(guesses) + 1):
        guesses[h - 1] = table[rows, episodes.states[h]]
        targets = lambda_returns(episodes.rewards[:h], guesses[:h], episodes.terminated[:h], gamma, lam)
        table = values.copy()
        for here, target, live in zip(episodes.states, targets, episodes.live):
            table[rows, here] += alpha * live * (target - table[rows, here])
    return table
