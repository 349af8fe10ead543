r"""Every method as the loss of a batch: which log-probabilities it asks for, and what it does with them.

Each function takes the method's own dial and returns what `train.fit` minimises. Reading them side by side is the
comparison of data and memory: who asks for a reference, who for both sides, who for lengths, who watches answers that
it does not learn from. Left out: the method's data (KTO takes `train.unpaired`) and its reference, which fit is given.

Shapes: B rows of a batch.
"""

import torch

from llmrl.preference import losses


def sft():
    """Next-token prediction on the chosen answer; every token of the batch weighs the same."""

    def loss(b):
        (logp,), (length,) = b.logp(0), b.length(0)
        return -logp / length.float().mean()

    return loss


def dpo(beta):
    """Both sides and a reference."""
    return lambda b: losses.dpo(*b.logp(0, 1), *b.ref_logp(0, 1), beta)


def cdpo(beta, flip):
    """DPO told that a share of the labels is flipped."""
    return lambda b: losses.cdpo(*b.logp(0, 1), *b.ref_logp(0, 1), beta, flip)


def robust_dpo(beta, flip):
    """DPO corrected for a share of flipped labels."""
    return lambda b: losses.robust_dpo(*b.logp(0, 1), *b.ref_logp(0, 1), beta, flip)


def ipo(tau):
    """Both sides and a reference; a margin to reach, not to exceed."""
    return lambda b: losses.ipo(*b.logp(0, 1), *b.ref_logp(0, 1), tau)


def kto(beta, good):
    """One answer with a verdict, a reference, and a stranger's answer that is watched.  good (rows,) bool"""

    def loss(b):
        z = losses.reference_point(*b.watched(1), *b.ref_logp(1))
        return losses.kto(*b.logp(0), *b.ref_logp(0), good[b.drawn], z, beta)

    return loss


def simpo(beta, gamma):
    """Both sides and their lengths; no reference."""
    return lambda b: losses.simpo(*b.logp(0, 1), *b.length(0, 1), beta, gamma)


def orpo(lam):
    """Both sides and their lengths; no reference, and SFT on the chosen side inside."""
    return lambda b: losses.orpo(*b.logp(0, 1), *b.length(0, 1), lam)


def rrhf(weight):
    """Both sides, ranked, and their lengths; no reference, and SFT on the best inside."""

    def loss(b):
        logp, length = torch.stack(b.logp(0, 1), 1), torch.stack(b.length(0, 1), 1)
        return losses.rrhf(logp, length, torch.tensor([1.0, 0.0]).expand_as(logp), weight)

    return loss
