r"""The return: what is still to come, discounted, from every step of an episode.

$$G_t=r_t+\gamma r_{t+1}+\gamma^2r_{t+2}+\dots=r_t+\gamma\,G_{t+1}$$

Read forward, each return is a sum of its own, and the work for all of them grows with the square of T. Read backward,
each is one product and one sum away from the one behind it. Nothing is carried across the end of an episode, so several
episodes may follow each other in one array. An episode that only a time limit cut goes on in truth: what its last state
is worth has to be said, as last_value at the end of the array, or added, times gamma, to the reward of the step that
was cut.
Left out: sums that stop after n steps and sums mixed with guesses, which have modules of their own.

Shapes: T steps, N environments or players. Torch or numpy, whichever comes in.
"""

import numpy as np
import torch


def returns(rewards, done, gamma, last_value=0.0):
    r"""$G_t=r_t+\gamma(1-d_t)\,G_{t+1}$.  rewards, done (T, ...) -> (T, ...); done[t]: the episode ended with step t

    last_value (...) stands for the return behind the last step of the array, where that step did not end the episode.
    """
    library, rewards, done = _ready(rewards, done, gamma)
    if np.shape(last_value) not in ((), rewards.shape[1:]):
        wanted, given = tuple(rewards.shape[1:]), tuple(np.shape(last_value))
        raise ValueError(f"last_value must be one number or one per environment, {wanted}, got shape {given}")
    ahead, found = library.zeros_like(rewards[0]) + last_value, []
    for t in reversed(range(len(rewards))):
        ahead = rewards[t] + gamma * library.where(done[t], 0.0, ahead)
        found.append(ahead)
    return library.stack(found[::-1])


def _ready(rewards, done, gamma):
    """torch or numpy, rewards as floats of that library and done as booleans, when they fit together."""
    library = torch if isinstance(rewards, torch.Tensor) else np
    make = torch.as_tensor if library is torch else np.asarray
    rewards, done = make(rewards), make(done)
    if rewards.shape != done.shape or not rewards.ndim or not len(rewards):
        raise ValueError(
            f"rewards and done must have one shape (T, ...) of 1 step or more, got {tuple(rewards.shape)} and "
            f"{tuple(done.shape)}: done[t] says whether the episode ended with step t"
        )
    if ((done != 0) & (done != 1)).any():
        raise ValueError(f"done must be True or False, or 1 or 0, got {done[(done != 0) & (done != 1)][0]}")
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}: it is the weight of a reward one step later")
    floats = rewards.is_floating_point() if library is torch else rewards.dtype.kind == "f"
    real = torch.get_default_dtype() if library is torch else np.float64
    return library, rewards if floats else library.asarray(rewards, dtype=real), done != 0
