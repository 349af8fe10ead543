r"""Taking a liking for length out of a reward: before training, in training, and afterwards.

Before: keep as many pairs in which the longer answer won as pairs in which it lost (`balanced`), or only pairs of
nearly equal length (`filtered`). In training: two heads on one body, of which one is pushed to follow length and the
other away from it, both ranked by their sum; the first is thrown away (ODIN, Chen et al. 2024, arXiv:2402.07319).
Afterwards: take off what a straight line through score and length explains (`residualised`; Singhal et al. 2023,
arXiv:2310.03716, measured how much that is).
Left out: lines that bend. All three also remove what length rightly says about quality.

Shapes: B answers, N pairs.
"""

import copy

import torch
from torch import nn

from llmrl import seeds
from llmrl.lm.model import Linear
from llmrl.preference.losses import preference_loss
from llmrl.rlhf.reward_model import last_real, padded


def words(text):
    return len(text.split())


def balanced(rows):
    """The rows thinned out, in order, until among those of equal difference in words longer and shorter won alike."""
    groups, kept = {}, set()
    for i, row in enumerate(rows):
        more = words(row["chosen"]) - words(row["rejected"])
        groups.setdefault(abs(more), ([], []))[more > 0].append(i)
    for difference, (shorter_won, longer_won) in groups.items():
        most = min(len(shorter_won), len(longer_won)) if difference else len(shorter_won)
        kept |= {*shorter_won[:most], *longer_won[:most]}
    return [row for i, row in enumerate(rows) if i in kept]


def filtered(rows, most=3):
    """The rows whose two answers differ by so many words at most."""
    return [row for row in rows if abs(words(row["chosen"]) - words(row["rejected"])) <= most]


def slope(score, length):
    """The least-squares slope of score on length.  two of (B,) -> a number"""
    if score.shape != length.shape or score.dim() != 1 or len(score) < 2:
        raise ValueError(f"score and length must be two of (B,), B at least 2, got {tuple(score.shape)} and "
                         f"{tuple(length.shape)}: one length per scored answer")  # fmt: skip
    centred = length.to(score) - length.to(score).mean()
    if not centred.any():
        raise ValueError(f"all lengths are {length[0].item()}: answers of one length say nothing about length")
    return (centred * score).sum() / centred.square().sum()


def residualised(score, length):
    """Scores less what a straight line explains by length, their mean kept.  two of (B,) -> (B,)"""
    length = length.to(score)
    return score - slope(score, length) * (length - length.mean())


def correlation(a, b, eps=1e-6):
    """Pearson's, 0 where one of them does not vary.  two of (B,) -> a number"""
    a, b = a - a.mean(), b.to(a) - b.to(a).mean()
    return (a * b).sum() / (a.norm() * b.norm() + eps)


class TwoHeads(nn.Module):
    """A copy of a language model with a head for quality and a head for length.  ids, mask (B, T) -> (B, 2)"""

    def __init__(self, lm, seed=0):
        super().__init__()
        self.lm = copy.deepcopy(lm)
        self.heads = Linear(lm.config.width, 2)
        nn.init.normal_(self.heads.weight, std=0.02, generator=seeds.rng(seed, "two heads"))

    def forward(self, ids, mask):
        last = last_real(ids, mask)
        return self.heads(self.lm.hidden(ids))[torch.arange(len(ids)), last]

    @torch.no_grad()
    def score(self, rows):
        """The quality head's scores of lists of ids."""
        return self(*padded(rows))[:, 0]


def disentangled_loss(model, ids, mask, weight=0.1):
    r"""ODIN's loss on pairs: the sum of both heads ranks, $|\rho(q,L)|-\rho(l,L)+|w_q\cdot w_l|$ pulls them apart.

    ids, mask (2B, T), the chosen in the first half, padding on the right -> a number
    """
    quality, length = model(ids, mask).unbind(1)
    chosen, rejected = (quality + length).chunk(2)
    tokens = mask.sum(1).to(quality)
    apart = correlation(quality, tokens).abs() - correlation(length, tokens)
    across = (model.heads.weight[0] @ model.heads.weight[1]).abs()
    return preference_loss(chosen - rejected).mean() + weight * (apart + across)
