"""A crowd of players of one world, each in a game of its own.

What a network sees is a row of features per state. The crowd has the interface of Gymnasium's vector environments, and
their way of starting anew: the step after an episode's last ignores the action and returns a fresh start.
A time limit truncates: the state it stops in keeps its value. Left out: spaces and rendering.

Shapes: N players, S states, D features.
"""

import numpy as np

from llmrl.rl.mdp import starts, step


class Crowd:
    """N players of an MDP, seen through features (S, D)."""

    def __init__(self, mdp, features, players, limit=None):
        features = np.asarray(features, dtype=np.float32)
        if features.ndim != 2 or len(features) != mdp.states:
            raise ValueError(f"features must be one row per state, ({mdp.states}, D), got {features.shape}")
        if limit is not None and limit < 1:
            raise ValueError(f"a time limit must be 1 step or more, got {limit}; None is no limit")
        self.mdp, self.features, self.players, self.limit = mdp, features, players, limit

    def reset(self, seed=None):
        """Everybody starts.  -> what they see (N, D), {}"""
        self.random = np.random.default_rng(seed)
        self.states = starts(self.mdp, self.players, self.random)
        self.age, self.over = np.zeros(self.players, int), np.zeros(self.players, bool)
        return self.features[self.states], {}

    def step(self, actions):
        """One step each.  actions (N,) -> seen (N, D), rewards, terminated, truncated (N,), {}"""
        anew = self.over
        after, rewards, terminated = step(self.mdp, self.states, actions, self.random)
        self.states = np.where(anew, starts(self.mdp, self.players, self.random), after)
        self.age = np.where(anew, 0, self.age + 1)
        terminated = terminated & ~anew
        limit = self.limit is not None
        truncated = (self.age >= self.limit) & ~terminated & ~anew if limit else np.zeros(self.players, bool)
        self.over = terminated | truncated
        return self.features[self.states], np.where(anew, 0.0, rewards), terminated, truncated, {}
