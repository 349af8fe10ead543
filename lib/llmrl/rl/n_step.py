r"""Windows of n steps from a replay, each folded into one transition.

$$R=\sum_{t=0}^{m}\gamma^t r_t,\qquad\text{target}=R+\gamma^{m+1}(1-\text{terminated}_m)\,V(s_{m+1})$$

A window ends early, at m < n-1, where its episode does. If the episode terminated there is nothing to add; if it was
truncated by a time limit, it would have gone on, so the value of the state it stopped in is added. An n longer than the
episode is therefore no mistake: the window is then the episode. Left out: the correction for actions that the
present policy would not have taken; Rainbow goes without it as well, and uncorrected() says what that costs.

Shapes: n steps in a window, N learners, B windows per learner.
"""

from dataclasses import dataclass

import numpy as np
import torch

from llmrl.rl.mdp import chain, reward
from llmrl.rl.replay import Replay


def fold(rewards, terminated, truncated, gamma):
    """Windows (..., n) -> return (...), discount of the value that follows (...), and step m after which it follows."""
    _refuse(rewards, terminated, truncated, gamma)
    ended = terminated | truncated
    lived = ended.cumsum(-1) - ended.long() == 0  # (..., n): up to the end of the first episode, which counts
    powers = torch.tensor([gamma**t for t in range(rewards.shape[-1] + 1)], dtype=rewards.dtype)
    last = lived.sum(-1) - 1
    over = terminated.gather(-1, last[..., None])[..., 0]
    folded = torch.where(lived, rewards, 0.0) @ powers[:-1]  # where, not *: what lies behind the end may be nan
    return folded, torch.where(over, 0.0, powers[last + 1]), last


def _refuse(rewards, terminated, truncated, gamma):
    shapes = [tuple(x.shape) for x in (rewards, terminated, truncated)]
    if len(set(shapes)) > 1 or not shapes[0] or not shapes[0][-1]:
        raise ValueError(
            f"rewards, terminated and truncated must have one shape (..., n) with n of 1 or more, got {shapes}: pad an "
            f"episode shorter than n behind its end, where nothing is read"
        )
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}: it is the weight of a reward one step later")
    if terminated.dtype != torch.bool or truncated.dtype != torch.bool:
        raise ValueError(
            f"terminated and truncated must be True or False, got {terminated.dtype} and {truncated.dtype}: use .bool()"
        )


@dataclass(frozen=True)
class Folded:
    """Windows drawn for every learner, each as one transition."""

    states: torch.Tensor  # (N, B, D)
    actions: torch.Tensor  # (N, B)
    returns: torch.Tensor  # (N, B) of up to n steps
    discount: torch.Tensor  # (N, B) of the value of what follows; 0 after a terminated step
    next_states: torch.Tensor  # (N, B, D)
    places: np.ndarray  # (N, B) where in the ring they begin
    weights: torch.Tensor  # (N, B)


class Windows(Replay):
    """A replay that draws windows of n steps. The newest n-1 steps wait until their window is full."""

    def __init__(self, capacity, learners, width, n, gamma):
        super().__init__(capacity, learners, width)
        if not 1 <= n <= capacity:
            raise ValueError(f"n must lie between 1 and the capacity, {capacity}, got {n}")
        self.n, self.gamma = n, gamma

    def __len__(self):
        """How many windows the learner with the fewest can draw from."""
        return max(super().__len__() - self.n + 1, 0)

    def sample(self, size, random):
        """So many windows per learner, uniformly and with replacement, all of weight 1."""
        if len(self) == 0:
            raise ValueError(f"nothing to draw from: a window needs {self.n} steps of every learner, add() them first")
        filled = np.minimum(self.count, self.capacity)[:, None]
        age = (random.random((self.learners, size)) * (filled - self.n + 1)).astype(np.int64)  # 0 is the oldest
        return self.folded((self.count[:, None] - filled + age) % self.capacity)

    def folded(self, places, weights=None):
        """The windows that begin at places (N, B)."""
        learners = np.arange(self.learners)[:, None]
        ring = learners[..., None], (places[..., None] + np.arange(self.n)) % self.capacity  # (N, B, n)
        ends = torch.from_numpy(self.terminated[ring] > 0), torch.from_numpy(self.truncated[ring] > 0)
        returns, discount, last = fold(torch.from_numpy(self.rewards[ring]), *ends, self.gamma)
        following = self.next_states[learners, (places + last.numpy()) % self.capacity]
        here = self.at(places)
        weights = torch.ones_like(returns) if weights is None else torch.from_numpy(weights).to(returns.dtype)
        return Folded(here.states, here.actions, returns, discount, torch.from_numpy(following), places, weights)


def uncorrected(mdp, gamma, n, behaviour, tolerance=1e-6):
    r"""What n-step targets settle at when all of the memory was made by one behaviour, and the sweeps it takes.

    $Q\leftarrow r+\gamma P\,(r_b+\gamma P_b)^{n-1}\max_aQ$: the first action is free, the next n-1 are the behaviour's.
    behaviour (S, A) -> Q (S, A), sweeps
    """
    if n < 1 or not 0 <= gamma < 1:
        raise ValueError(f"n must be 1 or more and gamma in [0, 1), got {n} and {gamma}")
    onward, paid = chain(mdp, behaviour)
    q, sweeps, change = np.zeros((mdp.states, mdp.actions)), 0, np.inf
    while change > tolerance:
        v = q.max(1)
        for _ in range(n - 1):
            v = paid + gamma * onward @ v
        before, q, sweeps = q, reward(mdp) + gamma * mdp.P @ v, sweeps + 1
        change = np.abs(q - before).max()
    return q, sweeps
