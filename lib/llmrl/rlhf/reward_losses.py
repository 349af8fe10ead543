r"""Losses on a pair of scores beyond the plain one: a margin to be kept, and scores pulled towards zero.

A margin asks for a gap of at least m before the loss is content: $-\log\sigma(r_w-r_l-m)$, with m larger where people
were surer (Touvron et al. 2023, arXiv:2307.09288). Bradley-Terry fixes differences only, so the scores' zero drifts
where it likes; a small price on $(r_w+r_l)^2$ holds it (Eisenstein et al. 2023, arXiv:2312.09244).
Left out: losses on more than two answers.

Shapes: B pairs.
"""

from llmrl.preference.losses import preference_loss


def pair_losses(chosen, rejected, margin=0.0, centre=0.0):
    r"""$-\log\sigma(r_w-r_l-m)+c\,(r_w+r_l)^2$, one value per pair.  two of (B,), margin (B,) or a number -> (B,)"""
    if chosen.shape != rejected.shape or chosen.dim() != 1:
        raise ValueError(
            f"scores must be two of (B,), got {tuple(chosen.shape)} and {tuple(rejected.shape)}: squeeze the head's "
            f"last dimension, or every answer is compared with every other"
        )
    if centre < 0:
        raise ValueError(f"centre must be at least 0, got {centre}: it is the price of scores away from zero")
    return preference_loss(chosen - rejected - margin) + centre * (chosen + rejected).square()
