r"""Losses on pairs of answers, as functions of log-probabilities alone.

Bradley-Terry says that the better of two answers wins with probability $\sigma(\text{margin})$. A reward model's margin
is a difference of scores; DPO's is a difference of implicit rewards. One loss serves both. Every function returns one
value per pair. Left out so far: the relatives of DPO.

Shapes: B pairs.
"""

import torch.nn.functional as F


def preference_loss(margin, flip=0.0):
    r"""$-(1-\epsilon)\log\sigma(m)-\epsilon\log\sigma(-m)$: Bradley-Terry with flip rate $\epsilon$.  margin (B,)"""
    if not 0 <= flip < 0.5:
        raise ValueError(
            f"flip must be in [0, 0.5), got {flip}: at one half a label says nothing, above it says the opposite"
        )
    return -(1 - flip) * F.logsigmoid(margin) - flip * F.logsigmoid(-margin)


def implicit_reward(logp, ref_logp, beta):
    r"""$\beta\log\frac{\pi(y\mid x)}{\pi_{ref}(y\mid x)}$, the reward DPO never trains.  (B,)"""
    if not beta > 0:
        raise ValueError(
            f"beta must be above 0, got {beta}: it is the price of moving away from the reference, 0.1 is usual"
        )
    return beta * (logp - ref_logp)


def dpo(chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp, beta):
    r"""$-\log\sigma(\hat r_w-\hat r_l)$ (Rafailov et al. 2023, arXiv:2305.18290).  four of (B,) -> (B,)"""
    shapes = [tuple(x.shape) for x in (chosen_logp, rejected_logp, ref_chosen_logp, ref_rejected_logp)]
    if len(set(shapes)) > 1 or len(shapes[0]) > 1:
        raise ValueError(
            f"all four must be (B,), log-probabilities of whole answers, got {shapes}: sum an answer's tokens; "
            f"a (B, 1) beside a (B,) would compare every answer with every other"
        )
    chosen = implicit_reward(chosen_logp, ref_chosen_logp, beta)
    rejected = implicit_reward(rejected_logp, ref_rejected_logp, beta)
    return preference_loss(chosen - rejected)
