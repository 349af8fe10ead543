r"""The clipped surrogate: take an improvement until the policy has moved far enough, take a correction always.

$\min(\rho A,\ \mathrm{clip}(\rho, 1-\epsilon_{low}, 1+\epsilon_{high})A)$ (Schulman et al. 2017, arXiv:1707.06347).
Its gradient is zero where $A>0$ and $\rho>1+\epsilon$, and where $A<0$ and $\rho<1-\epsilon$; nowhere else.
PPO on tokens, GRPO, Dr. GRPO, DAPO, GSPO, RLOO and CISPO are this one surrogate: a `Surrogate` names where they differ.
Its default is GRPO. Left out: soft clipping, ratios between the sampler's and the trainer's own arithmetic.

Shapes: P prompts, G answers each, B = P G sequences, T tokens. mask (B, T) is True on the tokens of an answer.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.policy.advantages import group_advantage

CHOICES = {
    "level": ("token", "sequence", "product"),
    "form": ("clip", "weight"),
    "average": ("answer", "token", "length"),
    "baseline": ("mean", "leave_one_out", "batch", None),
    "scale": ("group", "batch", None),
}


@dataclass(frozen=True)
class Surrogate:
    """Where the members of the family differ."""

    level: str = "token"  # whose ratio: each token's, or one per answer: its "sequence" mean (geometric), its "product"
    low: float = 0.2
    high: float = 0.2
    form: str = "clip"  # "weight": the clipped ratio only weighs the score and has no gradient itself
    average: str = "answer"  # what weighs the same: each "answer", each "token"; "length" divides by B times length
    length: int | None = None
    baseline: str | None = "mean"  # taken off a reward: the group's "mean", that of the others in it, of the "batch"
    scale: str | None = "group"  # whose deviation divides the advantage

    def __post_init__(self):
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, got {getattr(self, name)!r}")
        if (self.average == "length") != (self.length is not None) or (self.length is not None and self.length < 1):
            raise ValueError(
                f'average="length" needs length, the number of tokens each answer is divided by (1 or more), and no '
                f"other average has one: got average={self.average!r} and length={self.length}"
            )
        check_bounds(self.low, self.high, highest=1 if self.form == "weight" else None)


def check_bounds(low, high, highest=None):
    """A range of ratios holds 1, and stays above 0 unless low = highest is allowed."""
    if not (0 <= low < 1 or low == highest) or not high >= 0:
        raise ValueError(
            f"the ratio is kept in [1-low, 1+high] with 0 <= low < 1 and high >= 0, got low={low} and high={high}"
        )


def check_ratio(ratio):
    """No item has a ratio that is infinite or nan: its gradient would be nan wherever it were clipped."""
    if not ratio.isfinite().all():
        raise ValueError(
            f"ratio must be finite, got {ratio[~ratio.isfinite()][0].item()}: logp and old_logp are too far apart for "
            f"one policy to learn from what the other did, see that both were read off the same actions"
        )


def clip(ratio, adv, low=0.2, high=0.2):
    """The objective, per item, to be made large.  ratio (B,) and adv (B,), or (B, T) and one of (B, T), (B, 1)"""
    check_bounds(low, high)
    if ratio.dim() != adv.dim():
        raise ValueError(
            f"adv must have as many axes as ratio, got {tuple(adv.shape)} for {tuple(ratio.shape)}: one advantage per "
            f"answer becomes (B, 1) with adv[:, None]"
        )
    check_ratio(ratio)
    return torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)


def relative(rewards, how=Surrogate(), eps=1e-4):
    r"""$(r_i-b)/(s+\epsilon)$: how much better than its baseline, in units of its scale.  rewards (P, G) -> (P, G)"""
    centred = group_advantage(rewards, scale=False)  # also where bad rewards are named
    rewards = torch.as_tensor(rewards, dtype=torch.float64)
    if how.baseline == "leave_one_out":
        centred = centred * rewards.shape[1] / (rewards.shape[1] - 1)
    elif how.baseline != "mean":
        centred = (rewards - (rewards.mean() if how.baseline == "batch" else 0.0)).float()
    if how.scale is None:
        return centred
    deviation = rewards.std(1, keepdim=True) if how.scale == "group" else rewards.std()
    return (centred / (deviation + eps)).float()


def ratios(logp, old_logp, mask, level="token"):
    r"""$\pi/\pi_{old}$ of each token; of a whole answer their geometric mean or product, on each of its tokens.  (B, T)

    1 where the mask is False; level "sequence" is the geometric mean.
    """
    log_ratio = torch.where(mask, logp - old_logp, 0.0)
    if level != "token":
        log_ratio = log_ratio.sum(1, keepdim=True).expand_as(log_ratio)
    if level == "sequence":
        log_ratio = log_ratio / mask.sum(1, keepdim=True).clamp(min=1)
    return torch.where(mask, log_ratio, 0.0).exp()


def surrogate(logp, old_logp, adv, mask, how=Surrogate()):
    """The objective of each token, to be made large.  logp, old_logp, mask (B, T), adv (B,) or (B, T) -> (B, T)"""
    adv = adv[:, None] if adv.dim() == 1 else adv
    ratio = ratios(logp, old_logp, mask, how.level)
    if how.form == "weight":
        check_ratio(ratio)
        return ratio.detach().clamp(1 - how.low, 1 + how.high) * adv * logp
    return clip(ratio, adv, how.low, how.high)


def averaged(x, mask, how=Surrogate()):
    """One number from one per token; an answer without tokens counts as 0.  x, mask (B, T)"""
    if how.average == "answer":
        return masked_mean(x, mask, 1).mean()  # every answer weighs the same
    if how.average == "token":
        return masked_mean(x, mask)  # every token weighs the same
    return torch.where(mask, x, 0.0).sum() / (len(x) * how.length)  # every token weighs the same, in every batch


GRPO = Surrogate()
DR_GRPO = Surrogate(average="length", length=64, scale=None)
DAPO = Surrogate(high=0.28, average="token")
GSPO = Surrogate(level="sequence", low=3e-4, high=4e-4)
