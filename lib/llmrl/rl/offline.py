r"""Learning from a log: steps that somebody else took and wrote down.

A log is a pile of $(s,a,r,s')$ that nobody can add to. Going over it again and again with Q-learning's target settles
where the averages of the log say: on the best values of the world that the log describes (with a table this is value
iteration on counted frequencies; with a regression in the table's place it is fitted Q iteration, Ernst, Geurts and
Wehenkel 2005). What the log does not contain stays what it was believed to be at first, and a maximum believes it.
Left out: methods that distrust what is missing (conservative Q-learning and its kin); continuous states.

Shapes: N seeds, T steps, S states, A actions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrl.rl.mdp import cumulate, invert, probabilities, starts, step


@dataclass(frozen=True)
class Log:
    """T steps, episode after episode: (T,) of one logger or (T, N) of N. Whether a clock cut an episode plays no role:
    no target looks across a step's end. Without `terminated`, an end is a state like any other."""

    states: np.ndarray
    actions: np.ndarray
    rewards: np.ndarray
    after: np.ndarray
    terminated: np.ndarray | bool = False


def record(mdp, policy, random, steps, seeds, limit=None):
    """Follow a policy for so many steps, starting anew after an end or after `limit` steps.  policy (S, A) -> Log"""
    if steps < 1 or (limit is not None and limit < 1):
        raise ValueError(f"steps must be 1 or more, and so must a limit, got {steps} and {limit}")
    choose, log = cumulate(probabilities(policy, mdp.actions)), []
    states, length = starts(mdp, seeds, random), np.zeros(seeds, int)
    for _ in range(steps):
        actions = invert(choose[states], random)
        after, rewards, terminated = step(mdp, states, actions, random)
        log.append((states, actions, rewards, after, terminated))
        length += 1
        over = terminated | (length >= limit if limit else False)
        states, length = after.copy(), np.where(over, 0, length)
        if over.any():
            states[over] = starts(mdp, int(over.sum()), random)
    return Log(*map(np.stack, zip(*log)))


@dataclass(frozen=True)
class Counted:
    """What a log says about the world: how often, what was paid on average, where it led; without N for one logger."""

    counts: np.ndarray  # (N, S, A)
    paid: np.ndarray  # (N, S, A)
    leads: np.ndarray  # (N, S, A, S) shares; a step that terminated leads nowhere


def counted(log, states, actions):
    """The frequencies in each seed's log.  -> Counted"""
    where = *np.indices(log.states.shape)[1:], log.states, log.actions  # the seed, if there are seeds, and s, a
    counts = np.zeros((*log.states.shape[1:], states, actions))
    paid, leads = np.zeros_like(counts), np.zeros((*counts.shape, states))
    np.add.at(counts, where, 1.0)
    np.add.at(paid, where, log.rewards)
    np.add.at(leads, (*where, log.after), np.logical_not(log.terminated))
    often = np.maximum(counts, 1.0)
    return Counted(counts, paid / often, leads / often[..., None])


def replayed(data, worth: Callable, gamma, sweeps=1000, first=0.0):
    r"""$Q(s,a)\leftarrow$ the log's mean of $r+\gamma\,\mathrm{worth}(Q)(s')$, sweep after sweep.  -> q (N, S, A)

    worth: (N, S, A) -> (N, S), a maximum for Q-learning, a mean under a policy for SARSA.  What the log does not hold
    keeps its first value.
    """
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma must lie in [0, 1), got {gamma}: a log need not contain the ends of its episodes")
    held, q = data.counts > 0, np.full(data.counts.shape, float(first))
    q[:, ~held.any((0, 2))] = 0.0
    for _ in range(sweeps):
        new = np.where(held, data.paid + gamma * (data.leads @ worth(q)[:, None, :, None])[..., 0], q)
        change, q = np.abs(new - q).max(), new
        if change < 1e-12:
            break
    return q
