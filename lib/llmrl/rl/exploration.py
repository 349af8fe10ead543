r"""Curiosity by counting: a bonus for what was seldom tried.

Where no reward is in sight, all actions look alike and an agent that acts at random drifts. An extra reward of
$\beta/\sqrt{n(s,a)}$ for the n-th time an action is taken in a state makes the unknown pay, and a table of action
values carries the pay backward, so that the agent walks to where it has been least (Strehl and Littman 2008,
doi:10.1016/j.jcss.2007.08.009; with networks Bellemare et al. 2016, arXiv:1606.01868). A bonus is paid only to those
who came, and what has never been tried keeps its first value: the first try is left to chance, or to optimism.
Left out: counts of states that never repeat (see random network distillation), bounds on regret.

Shapes: N seeds, S states, A actions.
"""

import numpy as np


def count_bonus(counts, beta):
    r"""$\beta/\sqrt n$, for a count of 0 as for 1.  counts (...) whole, 0 or more -> (...)"""
    counts = np.asarray(counts)
    if (counts < 0).any():
        raise ValueError(f"counts must be 0 or more, got {counts.min()}: they say how often something was tried")
    if beta < 0:
        raise ValueError(
            f"beta must be 0 or more, got {beta}: a negative bonus keeps the agent from what it has not seen"
        )
    return beta / np.sqrt(np.maximum(counts, 1))


class Counting:
    """The bonus of N seeds for the actions they take: call it with what they do."""

    def __init__(self, seeds, states, actions, beta):
        self.counts, self.beta = np.zeros((seeds, states, actions), int), beta
        self.seed = np.arange(seeds)

    def __call__(self, states, actions, after):
        self.counts[self.seed, states, actions] += 1
        return count_bonus(self.counts[self.seed, states, actions], self.beta)


def first_reward(moves, patience):
    """The step of each seed's first reward above 0, counted from 1; patience + 1 where none came.  -> (N,) whole"""
    found = None
    for count, move in enumerate(moves, 1):
        if found is None:
            found = np.full(move.over.shape, patience + 1)
        found = np.where((move.score > 0) & (found > patience), count, found)
        if count == patience or (found <= patience).all():
            return found
