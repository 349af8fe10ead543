r"""Monte Carlo: the value of a state is the mean of the returns that followed it.

Nothing is guessed and no model is needed, only episodes that end. A state may be visited several times in one episode.
First-visit counts the return after the first of them: one independent number per episode, so the mean is unbiased.
Every-visit counts them all: more numbers, but they overlap, and long episodes get more of a say, which biases the mean
of few episodes (Singh and Sutton 1996). Both converge.
Left out: episodes cut by a time limit, whose returns nobody has seen; weights for actions of another policy.

Shapes: T steps, N players, S states.
"""

import numpy as np

from llmrl.rl.returns import returns


def first_visits(states):
    """Where each player is in a state for the first time.  states (T, N) whole -> (T, N) bool"""
    states = np.asarray(states)
    if states.ndim != 2 or not np.issubdtype(states.dtype, np.integer):
        raise ValueError(f"states must be (T, N) whole numbers, got {states.shape} of {states.dtype}")
    if (states < 0).any():
        raise ValueError(f"states count from 0, got {states.min()}")
    new, players = np.ones(states.shape, bool), np.arange(states.shape[1])
    seen = np.zeros((states.shape[1], states.max(initial=0) + 1), bool)
    for t, here in enumerate(states):
        new[t] = ~seen[players, here]
        seen[players, here] = True
    return new


def monte_carlo(episodes, gamma, states, every=False):
    """Sums of returns and how many there were, per player and state.  states: how many there are -> (N, S), (N, S)

    Add them up over the episodes that are to count, then divide. every: count every visit, not only the first.
    """
    cut = np.flatnonzero(episodes.truncated)
    if cut.size:
        raise ValueError(
            f"{cut.size} of {episodes.truncated.size} episodes were cut before they ended, the first is number "
            f"{cut[0]}: what would have followed is unknown. Play more steps, or learn by temporal differences"
        )
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}: it is the weight of a reward one step later")
    here = episodes.states[:-1]
    if here.max() >= states:
        raise ValueError(f"state {here.max()} was visited, and there are to be {states}: states count from 0")
    counted = episodes.live if every else episodes.live & first_visits(here)
    t, n = np.nonzero(counted)
    sums, counts = np.zeros((here.shape[1], states)), np.zeros((here.shape[1], states), int)
    np.add.at(sums, (n, here[t, n]), returns(episodes.rewards, episodes.terminated, gamma)[t, n])
    np.add.at(counts, (n, here[t, n]), 1)
    return sums, counts
