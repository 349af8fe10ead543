r"""How much better than expected: the advantage, in the ways a policy gradient uses it.

The return is what happened, an advantage what happened beyond what was expected. The return itself is older than any
policy gradient and lives in llmrl.rl.returns; it can be had from here as well.
Left out so far: advantages over time (GAE).

Shapes: P prompts, G answers per prompt.
"""

import torch

from llmrl.rl.returns import returns as returns


def group_advantage(rewards, scale=True, eps=1e-4):
    r"""$(r_i-\bar r)/(s+\epsilon)$ within each prompt's answers; scale=False only centres.  rewards (P, G)

    s is the sample deviation, with G-1 below.
    """
    rewards = torch.as_tensor(rewards, dtype=torch.float64)  # equal rewards leave no rounding error to divide by eps
    if rewards.dim() != 2 or rewards.shape[1] < 2:
        raise ValueError(
            f"rewards must be (prompts, answers) with 2 or more answers, got {tuple(rewards.shape)}: "
            f"a single answer has nothing to be compared with"
        )
    if not rewards.isfinite().all():
        raise ValueError(
            f"rewards must be finite, got {rewards[~rewards.isfinite()][0].item()}: one such answer spoils its whole "
            f"group, give it a number"
        )
    centred = rewards - rewards.mean(1, keepdim=True)
    return (centred / (rewards.std(1, keepdim=True) + eps) if scale else centred).float()
