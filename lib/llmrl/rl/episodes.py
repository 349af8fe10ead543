r"""Episodes played by many players at once in a world that is written down.

Every array has time first and players second. A player whose episode has ended stays where it is and is paid nothing,
so a sum over time needs no mask; `live` says which steps were really played. An episode ends in a terminal state
(terminated); when the steps run out first it is cut (truncated), and the two are never mixed up.
Left out: starting a new episode in the middle of an array.

Shapes: S states, A actions, N players, T steps.
"""

from dataclasses import dataclass

import numpy as np

from llmrl.rl.mdp import cumulate, invert, probabilities, starts, step


@dataclass(frozen=True)
class Episodes:
    """What N players saw."""

    states: np.ndarray  # (T+1, N)
    actions: np.ndarray  # (T, N)
    rewards: np.ndarray  # (T, N)
    terminated: np.ndarray  # (T, N) the step led to a terminal state
    live: np.ndarray  # (T, N) the step was played: the episode had not ended before it

    @property
    def truncated(self):
        """(N,) the episode was cut by the end of the array."""
        return ~self.terminated[-1]

    def discounted(self, gamma):
        """(N,) each player's return from the first step."""
        return gamma ** np.arange(len(self.rewards)) @ self.rewards


def play(mdp, policy, random, players, steps, begin=None):
    """N episodes of at most T steps under a policy (S, A) or (S,).  begin: a state or (N,), by mdp.start when None"""
    if not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ValueError(f"steps must be a whole number of 1 or more, got {steps!r}")
    choose = cumulate(probabilities(policy, mdp.actions))
    first = starts(mdp, players, random) if begin is None else begin
    states, actions = np.empty((steps + 1, players), int), np.zeros((steps, players), int)
    rewards, live = np.zeros((steps, players)), np.zeros((steps, players), bool)
    states[0] = first
    for t in range(steps):
        live[t] = ~mdp.terminal[states[t]]
        on, states[t + 1] = np.flatnonzero(live[t]), states[t]
        actions[t, on] = invert(choose[states[t, on]], random)
        states[t + 1, on], rewards[t, on], _ = step(mdp, states[t, on], actions[t, on], random)
    return Episodes(states, actions, rewards, mdp.terminal[states[1:]], live)
