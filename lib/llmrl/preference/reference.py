r"""A reference that moves: TR-DPO's updates, and a trust region kept by a multiplier.

DPO pulls a policy back to where it began, however much it has learned. TR-DPO (Gorbatovski et al. 2024,
arXiv:2404.09656) moves the place it is pulled to: a little after every step (soft) or all the way every tau steps
(hard). The loss stays DPO's. A trust region in the optimiser's sense is something else: the divergence may not exceed
a limit, and a multiplier, raised while it does and lowered while it does not, finds the price for that.
Left out: the same updates for IPO and KTO, which are these lines as well.
"""

import copy

import torch

from llmrl.preference.train import answer_logp


def frozen(model):
    """A copy of a model that takes no gradients: the reference to begin with."""
    return copy.deepcopy(model).requires_grad_(False).eval()


@torch.no_grad()
def soft_update(reference, model, alpha):
    r"""$\theta_{ref}\leftarrow(1-\alpha)\,\theta_{ref}+\alpha\,\theta$, in place; $\alpha=1$ is the hard update."""
    if not 0 <= alpha <= 1:
        raise ValueError(f"alpha must be in [0, 1], got {alpha}: it is the share of the model in the new reference")
    ours, theirs = dict(reference.named_parameters()), dict(model.named_parameters())
    if {name: p.shape for name, p in ours.items()} != {name: p.shape for name, p in theirs.items()}:
        raise ValueError(
            f"a reference has the same parameters as its model, got {len(ours)} and {len(theirs)} that differ in name "
            f"or shape: make it with frozen(model)"
        )
    for name, p in ours.items():
        if p is theirs[name]:
            raise ValueError(f"reference and model share {name}: make the reference with frozen(model)")
        p.lerp_(theirs[name], alpha)


def hard_update(reference, model, step, every):
    """Copy the model into the reference after every `every` steps; True when it did.  step counts from 0"""
    if not (isinstance(every, int) and every >= 1):
        raise ValueError(f"every must be a whole number of at least 1, got {every}: 1 copies after each step")
    if due := (step + 1) % every == 0:
        soft_update(reference, model, 1.0)
    return due


class Moving:
    """A reference for `train.fit` that follows the model: a share alpha of the way after every `every` steps."""

    def __init__(self, model, alpha=1.0, every=1):
        self.model, self.alpha, self.every = frozen(model), alpha, every

    def logp(self, samples):
        """Log-probabilities of answers as the reference stands now.  (ids, mask) samples -> (B,)"""
        return answer_logp(self.model, samples)

    def follow(self, model, step):
        """Move, if it is time.  step counts from 0"""
        if (step + 1) % self.every == 0:
            soft_update(self.model, model, self.alpha)


def lagrangian(loss, kl, multiplier, limit):
    r"""$L+\lambda(\mathrm{KL}-\delta)$: the loss with the constraint priced in."""
    return loss + multiplier * (kl - limit)


def dual_step(multiplier, kl, limit, rate):
    r"""$\lambda\leftarrow\max(0,\lambda+\eta(\mathrm{KL}-\delta))$: dearer while the limit is broken, else cheaper."""
    if not (limit > 0 and rate > 0 and multiplier >= 0):
        raise ValueError(
            f"limit and rate must be above 0 and the multiplier at least 0, got {limit}, {rate} and {multiplier}: "
            f"with a limit of 0 nothing could be learned"
        )
    return max(0.0, multiplier + rate * (float(kl) - limit))
