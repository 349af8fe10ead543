"""A memory of transitions from which old experience is drawn at random.

Successive states of one episode look alike, and a network that learns from them in order chases what it saw last. A
ring buffer keeps the last `capacity` transitions of each learner, the oldest overwritten first, and batches are
drawn from it uniformly, with replacement (Lin 1992; Mnih et al. 2015). Two ends of an episode are kept apart:
`terminated`, after which no reward can come, and `truncated`, where somebody stopped the clock and the state after the
step keeps its value. Gymnasium's vector environments report the last state of an episode as the next state of its
last step and spend one more step on starting anew; that step joins two episodes and is never stored.
Left out: priorities, returns over several steps, and a buffer on the disk.

Shapes: T steps, N learners, B transitions per learner and batch, D numbers per state.
"""

from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Batch:
    """Transitions drawn for every learner.  terminated, truncated: 1.0 where the step ended the episode that way"""

    states: torch.Tensor  # (N, B, D)
    actions: torch.Tensor  # (N, B)
    rewards: torch.Tensor  # (N, B)
    next_states: torch.Tensor  # (N, B, D)
    terminated: torch.Tensor  # (N, B)
    truncated: torch.Tensor  # (N, B)


def real_steps(terminated, truncated):
    """Which steps of a vector environment's log are transitions: all but those that only start anew.  (T, N) -> (T, N)

    The environment is one of Gymnasium's that reset themselves with the step after an episode's end.
    """
    ended = np.asarray(terminated, bool) | np.asarray(truncated, bool)
    real = np.ones_like(ended)
    real[1:] = ~ended[:-1]
    return real


class Replay:
    """The last `capacity` transitions of each of N learners."""

    def __init__(self, capacity, learners, width):
        for name, value in (("capacity", capacity), ("learners", learners), ("width", width)):
            if not isinstance(value, (int, np.integer)) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}: Replay(10_000, 1, 4)")
        self.capacity, self.learners, self.width = capacity, learners, width
        self.states = np.zeros((learners, capacity, width), np.float32)
        self.next_states = np.zeros_like(self.states)
        self.actions = np.zeros((learners, capacity), np.int64)
        self.rewards, self.terminated, self.truncated = (np.zeros((learners, capacity), np.float32) for _ in range(3))
        self.count = np.zeros(learners, np.int64)  # (N,) transitions ever stored

    def __len__(self):
        """How many transitions the learner with the fewest can draw from."""
        return int(np.minimum(self.count, self.capacity).min())

    def fields(self):
        """The arrays behind the fields of a Batch, in its order."""
        return self.states, self.actions, self.rewards, self.next_states, self.terminated, self.truncated

    def add(self, states, actions, rewards, next_states, ends, keep=None):
        """Store one transition per learner, or only those of the learners to `keep`.  ends: (terminated, truncated)"""
        wanted = (self.learners, self.width)
        if np.shape(states) != wanted or np.shape(next_states) != wanted:
            found = f"{np.shape(states)} and {np.shape(next_states)}"
            raise ValueError(f"states must be (learners, numbers per state) = {wanted}, got {found}")
        n = np.arange(self.learners) if keep is None else np.flatnonzero(keep)
        at = self.count[n] % self.capacity
        for field, values in zip(self.fields(), (states, actions, rewards, next_states, *ends)):
            field[n, at] = np.asarray(values)[n]
        self.count[n] += 1

    def sample(self, size, random):
        """A batch of so many transitions per learner, uniformly and with replacement.  random: a numpy Generator"""
        if len(self) == 0:
            raise ValueError("nothing to draw from: add() a transition for every learner first")
        filled = np.minimum(self.count, self.capacity)[:, None]
        return self.at((random.random((self.learners, size)) * filled).astype(np.int64))

    def at(self, places):
        """The batch at places (N, B) of the ring."""
        n = np.arange(self.learners)[:, None]
        return Batch(*(torch.from_numpy(field[n, places]) for field in self.fields()))
