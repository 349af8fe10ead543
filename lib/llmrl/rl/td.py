r"""Temporal differences: learning a guess from a guess.

A step from s pays r and leads to s'. Then $r+\gamma V(s')$ is a better informed guess of s's value than V(s) itself:
the TD target. The TD error is what it says more than V(s) does, and learning moves V(s) by a share alpha of it (Sutton
1988). Looking n steps ahead before guessing is the same idea n times: an n-step return is a TD target whose guess is
the (n-1)-step return from the next state. A step that terminated leaves nothing to guess; one that was merely cut off
by a time limit does.
Left out: actions and their values (control); states described by features; two episodes in one column.

Shapes: T steps, N players, S states, K step sizes.
"""

import numpy as np


def td_target(rewards, next_values, terminated, gamma):
    r"""$r+\gamma V(s')$, and r alone where the step terminated.  arrays or tensors (...), terminated True or False"""
    if np.asarray(terminated).dtype != bool:
        raise ValueError(
            f"terminated must be True or False, got {np.asarray(terminated).dtype}: a step that was only cut by a time "
            f"limit is False"
        )
    return rewards + gamma * next_values * (terminated == 0)


def td_error(values, rewards, next_values, terminated, gamma):
    r"""$\delta=r+\gamma V(s')-V(s)$: how much better the step went than V(s) said.  all (...)"""
    return td_target(rewards, next_values, terminated, gamma) - values


def n_step_returns(rewards, next_values, terminated, n, gamma):
    r"""$r_t+\gamma r_{t+1}+\dots+\gamma^{n-1}r_{t+n-1}+\gamma^n V(s_{t+n})$ from every step.  (T, ...) -> (T, ...)

    next_values[t] is $V(s_{t+1})$. Where the episode terminates sooner the sum stops there; where the array stops
    without an end, so does the sum, and the guess for the last state follows.
    """
    refuse(rewards, next_values, terminated, gamma)
    if not isinstance(n, (int, np.integer)) or not 1 <= n <= len(rewards):
        raise ValueError(
            f"n must be a whole number from 1 to the {len(rewards)} steps there are, got {n!r}: n = {len(rewards)} is "
            f"the whole episode, and there is nothing behind it"
        )
    ahead = td_target(rewards, next_values, terminated, gamma)
    for _ in range(n - 1):
        ahead = np.concatenate([td_target(rewards[:-1], ahead[1:], terminated[:-1], gamma), ahead[-1:]])
    return ahead


def refuse(rewards, next_values, terminated, gamma):
    """An error when three arrays over time do not fit together, or gamma is no discount."""
    shapes = [np.shape(x) for x in (rewards, next_values, terminated)]
    if len(set(shapes)) > 1 or not shapes[0] or not shapes[0][0]:
        raise ValueError(
            f"rewards, next_values and terminated must have one shape (T, ...) of 1 step or more, got {shapes}: "
            f"next_values[t] is the value of the state that step t led to"
        )
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}: it is the weight of a reward one step later")


def refuse_tables(episodes, values, alpha):
    """An error when there is not one table per player, or a step size is not in (0, 1]."""
    players = episodes.states.shape[1]
    if values.ndim not in (2, 3) or len(values) != players or values.shape[1] <= episodes.states.max():
        raise ValueError(
            f"values must be (N, S) or (N, S, K), one table for each of the {players} players with a place for every "
            f"state up to {episodes.states.max()}, got {values.shape}"
        )
    if not ((0 < np.asarray(alpha)) & (np.asarray(alpha) <= 1)).all():
        raise ValueError(f"step sizes must lie in (0, 1], got {alpha}: above 1 an update jumps past its target")


def n_step_td(episodes, values, alpha, gamma, n):
    r"""$V(s_t)\leftarrow V(s_t)+\alpha\,(G_{t:t+n}-V(s_t))$ along each player's episode, in order.  -> new values

    values (N, S): a table per player, 0 at terminal states; or (N, S, K) with one step size per table, alpha (K,).
    n = 1 is TD(0), n = T is Monte Carlo with a constant step size.
    """
    refuse_tables(episodes, values, alpha)
    paid = n_step_returns(episodes.rewards, np.zeros_like(episodes.rewards), episodes.terminated, n, gamma)
    values, steps = values.copy(), len(paid)
    for t in range(int(episodes.live.any(1).sum())):
        on, end = np.flatnonzero(episodes.live[t]), min(t + n, steps)
        here, there = episodes.states[t, on], episodes.states[end, on]
        over = per_entry(episodes.terminated[end - 1, on], values)
        target = td_target(per_entry(paid[t, on], values), values[on, there], over, gamma ** (end - t))
        values[on, here] += alpha * (target - values[on, here])
    return values


def per_entry(x, values):
    """One number per player, with as many axes as the players' entries of values have.  (N,) -> (N,) or (N, 1)"""
    return x if values.ndim == 2 else x[:, None]
