r"""How much better than expected: the advantage, in the ways a policy gradient uses it.

The return is what happened, an advantage what happened beyond what was expected. The return itself is older than any
policy gradient and lives in llmrl.rl.returns; it can be had from here as well.
Over time, an advantage can be had from one reward and the critic's next guess, or from all rewards to the end, or from
a mixture of everything between: GAE (Schulman et al. 2015, arXiv:1506.02438). Within a group of answers to one prompt
the others are the expectation.
Left out: traces with importance weights (V-trace, Retrace).

Shapes: T steps, N environments; P prompts, G answers per prompt.
"""

import torch

from llmrl.rl.returns import returns as returns


def action_advantages(q, policy):
    r"""$A(s,a)=Q(s,a)-V(s)$ with $V(s)=\sum_a\pi(a|s)Q(s,a)$.  q and policy (..., A), torch or numpy"""
    return q - (policy * q).sum(-1)[..., None]


def gae(rewards, values, last_value, done, gamma, lam):
    r"""$\hat A_t=\delta_t+\gamma\lambda(1-d_t)\hat A_{t+1}$.  All (T, N); done[t]=1 if the episode ended with step t

    last_value (N,): V of the state behind the last step. No value is looked up behind an end: a truncated step needs it
    added to its reward, see bootstrapped().
    """
    keep = 1 - _fitting(rewards, values, last_value, done, gamma, lam)
    next_values = torch.cat([values[1:], last_value[None]])
    delta = rewards + gamma * keep * next_values - values
    adv, ahead = [], torch.zeros_like(last_value)
    for delta_t, keep_t in zip(reversed(delta.unbind()), reversed((gamma * lam * keep).unbind())):
        ahead = delta_t + keep_t * ahead
        adv.append(ahead)
    return torch.stack(adv[::-1])


def bootstrapped(rewards, truncated, final_values, gamma):
    r"""$r_t+\gamma V(s_{final})$ where the clock cut the episode behind step t, $r_t$ elsewhere.  All (T, N)"""
    if not rewards.shape == truncated.shape == final_values.shape:
        raise ValueError(
            f"rewards, truncated and final_values must have one shape, got {tuple(rewards.shape)}, "
            f"{tuple(truncated.shape)} and {tuple(final_values.shape)}: one value per step, read only where it was cut"
        )
    return rewards + gamma * torch.where(truncated != 0, final_values, 0.0)


def _fitting(rewards, values, last_value, done, gamma, lam):
    """done as numbers, when everything fits together."""
    if not rewards.shape == values.shape == done.shape or last_value.shape != rewards.shape[1:] or not len(rewards):
        shapes = ", ".join(str(tuple(x.shape)) for x in (rewards, values, done, last_value))
        raise ValueError(
            f"rewards, values and done must have one shape (T, N) of 1 step or more and last_value (N,), got {shapes}"
        )
    if not (0 <= gamma <= 1 and 0 <= lam <= 1):
        raise ValueError(f"gamma and lam must lie in [0, 1], got {gamma} and {lam}: they weigh what comes later")
    if done.dtype != torch.bool and ((done != 0) & (done != 1)).any():
        odd = done[(done != 0) & (done != 1)][0]
        raise ValueError(f"done must be 1 where an episode ended and 0 elsewhere, got {odd}")
    return done.to(values.dtype)


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
