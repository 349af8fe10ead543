r"""A reward model: a language model whose last layer is read by one scalar head, trained on pairs.

The score of an answer is read at its last real token, the one that has seen all the others; reading it at the last
column would read padding. The loss is the pairwise one that DPO uses, its margin a difference of scores.
Left out: ensembles, scores per step.

Shapes: B sequences, T positions, D width.
"""

import copy

import torch
from torch import nn

from llmrl import seeds
from llmrl.lm.model import Linear
from llmrl.lm.training import Plan, adamw, learning_rate, pad, set_rate, update
from llmrl.preference.losses import preference_loss


def bradley_terry(margin):
    r"""$-\log\sigma(r_w-r_l)$, one value per pair.  margin (B,)"""
    return preference_loss(margin)


class RewardModel(nn.Module):
    """A copy of a language model with a scalar head, zero at first.  ids, mask (B, T) -> (B,)

    The head has no bias: in a difference of scores it would cancel, and no pair could teach it.
    """

    def __init__(self, lm):
        super().__init__()
        self.lm = copy.deepcopy(lm)
        self.head = Linear(lm.config.width, 1)
        nn.init.zeros_(self.head.weight)

    def forward(self, ids, mask):
        """The score of each sequence, read at its last True position of mask (right padding)."""
        if ids.dim() != 2 or ids.shape != mask.shape or not mask.any(1).all():
            raise ValueError(
                f"ids and mask must be (B, T) with a real token in every row, got ids {tuple(ids.shape)} and mask "
                f"{tuple(mask.shape)}: drop empty sequences"
            )
        last = mask.shape[1] - 1 - mask.int().flip(1).argmax(1)  # (B,)
        return self.head(self.lm.hidden(ids)).squeeze(-1).gather(1, last[:, None]).squeeze(1)

    @torch.no_grad()
    def score(self, rows):
        """Scores of lists of ids, without gradients."""
        return self(*padded(rows))


def padded(rows):
    """Lists of ids -> ids and mask (B, T), padded on the right."""
    ids = pad(rows)
    return ids, torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])


def train(model, pairs, plan=Plan(steps=60, lr=1e-3, warmup=5), batch=16, seed=0):
    """Fit a reward model to (chosen ids, rejected ids); yields loss and accuracy of each batch before its step."""
    if not pairs:
        raise ValueError("there are no pairs to learn from: give one pair of (chosen ids, rejected ids) or more")
    optimizer = adamw(model, plan.lr, plan.weight_decay)
    for step in range(plan.steps):
        set_rate(optimizer, learning_rate(step, plan))
        drawn = torch.randint(len(pairs), (batch,), generator=seeds.rng(seed, "reward model", step)).tolist()
        scores = model(*padded([pairs[i][side] for side in (0, 1) for i in drawn]))
        margin = scores[:batch] - scores[batch:]
        loss = bradley_terry(margin).mean()
        update(model, optimizer, loss, plan.clip)
        yield {"step": step, "loss": loss.item(), "accuracy": (margin > 0).float().mean().item()}
