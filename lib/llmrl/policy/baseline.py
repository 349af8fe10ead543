r"""Baselines: what is taken off the return before it weighs a score.

Scores add up to zero under the policy, $\sum_a\pi(a|s)\nabla\log\pi(a|s)=\nabla\sum_a\pi(a|s)=0$, so a number that does
not depend on the action may be taken off every return without moving the gradient's mean. What it moves is the
variance. The best constant is not the mean return but a mean weighed by the squared scores (Weaver and Tao 2001,
Greensmith, Bartlett and Baxter 2004). Others who play at the same time give a baseline for nothing: what they earn says
what was to be expected, and it does not depend on what I did.
Left out: baselines that are learned (an actor and a critic).

Shapes: N samples, K parameters, T steps, E environments.
"""

import torch


def optimal_baseline(scores, returns):
    r"""$b^*=\frac{\sum_i\lVert\nabla\log\pi_i\rVert^2G_i}{\sum_i\lVert\nabla\log\pi_i\rVert^2}$, one number.

    The constant for which the mean square of $(G-b)\nabla\log\pi$ is smallest.  scores (N, K), returns (N,)
    """
    if scores.ndim != 2 or tuple(returns.shape) != tuple(scores.shape[:1]):
        raise ValueError(
            f"scores must be (samples, parameters) and returns (samples,), got {tuple(scores.shape)} and "
            f"{tuple(returns.shape)}"
        )
    squares = (scores**2).sum(-1)  # (N,)
    if not squares.sum() > 0:
        raise ValueError("every score is zero: nothing is estimated, and no baseline is better than another")
    return (squares * returns).sum() / squares.sum()


def sibling_mean(ret, live):
    """The mean return, from the same step on, of the other environments that still play; 0 for who plays alone.

    One's own return is left out, because it depends on what one did.  ret, live (T, ..., E) -> (T, ..., E)
    """
    others = live.sum(-1, keepdim=True) - live.int()
    total = torch.where(live, ret, 0.0)
    return (total.sum(-1, keepdim=True) - total) / others.clamp(min=1)
