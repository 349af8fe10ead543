r"""A reward model: a language model whose last layer is read by one scalar head, trained on pairs.

The head gives every position a score. The score of an answer is the one at its last real token, which has seen all the
others; the last column of a padded batch would be padding. The loss is the pairwise one that DPO uses, its margin a
difference of scores: $-\log\sigma(r_w-r_l)$. A constant added to all scores changes no margin, so no pair teaches it.
Left out: ensembles, heads with more than one number.

Shapes: B sequences or pairs, T positions, D width.
"""

import copy
from dataclasses import replace

import torch
from torch import nn

from llmrl import seeds
from llmrl.lm import llama
from llmrl.lm.model import Linear, TinyLM
from llmrl.lm.training import Plan, adamw, learning_rate, pad, set_rate, update
from llmrl.preference.losses import preference_loss
from llmrl.rlhf import reward_file
from llmrl.toy import checkpoints
from llmrl.tuning import chat
from llmrl.tuning.exam import talk


def bradley_terry(margin):
    r"""$-\log\sigma(r_w-r_l)$, one value per pair.  margin (B,)"""
    return preference_loss(margin)


def pair_loss(chosen, rejected):
    """Bradley-Terry on two scores, one value per pair.  two of (B,) -> (B,)"""
    return bradley_terry(chosen - rejected)


class RewardModel(nn.Module):
    """A copy of a language model with a scalar head, zero at first.  ids, mask (B, T) -> (B,)

    The head has no bias: in a difference of scores it would cancel, and no pair could teach it.
    """

    def __init__(self, lm):
        super().__init__()
        self.lm = copy.deepcopy(lm)
        self.head = Linear(lm.config.width, 1).to(lm.embed.weight)
        nn.init.zeros_(self.head.weight)

    def token_scores(self, ids, mask=None):
        """What the head reads at every position; mask as TinyLM's, for padding on the left.  (B, T) -> (B, T)"""
        return self.head(self.lm.hidden(ids, mask)).squeeze(-1)

    def forward(self, ids, mask):
        """The score of each sequence, read at its last True position of mask; padding on either side."""
        last = last_real(ids, mask)  # (B,)
        left = None if mask[:, 0].all() else mask  # to the right padding hides itself: nobody looks ahead
        return self.token_scores(ids, left).gather(1, last[:, None]).squeeze(1)

    @torch.no_grad()
    def score(self, rows, batch=256):
        """Scores of lists of ids, without gradients."""
        parts = [rows[i : i + batch] for i in range(0, len(rows), batch)] or [rows]
        return torch.cat([self(*padded(part)) for part in parts])

    def save(self, folder):
        """Write config.json and model.safetensors as transformers' LlamaForSequenceClassification would."""
        return reward_file.save(folder, self.lm.config.settings(), self.lm.state_dict(), self.head.weight)

    @classmethod
    def load(cls, folder):
        """Read what save wrote, or any such model of one label from the hub; in evaluation mode."""
        return cls._of(*llama.load(folder), source=str(folder))

    def to_transformers(self):
        """The same model as a LlamaForSequenceClassification: equal scores, its own copy of the weights."""
        return reward_file.build(self.lm.config.settings(), self.lm.state_dict(), self.head.weight)

    @classmethod
    def from_transformers(cls, hf):
        """A copy of a LlamaForSequenceClassification with one label."""
        return cls._of(hf.config.to_dict(), hf.state_dict(), source=type(hf).__name__)

    @classmethod
    def _of(cls, settings, weights, source):
        weights, head = reward_file.split(weights, source)
        model = cls(TinyLM.from_llama(settings, weights, source))
        model.head.weight.data.copy_(head)
        return model.eval()


def lower(lm, layers):
    """A copy of a language model that stops after so many layers; its embedding and last norm stay."""
    if layers not in range(1, lm.config.layers + 1):
        raise ValueError(f"layers must be from 1 to {lm.config.layers}, got {layers}: the model has no more")
    cut = copy.deepcopy(lm)
    cut.layers, cut.config = cut.layers[:layers], replace(lm.config, layers=layers)
    return cut


def shipped():
    """The checkpoint `reward_model` of the course, ready to be asked."""
    return RewardModel.load(checkpoints.folder("reward_model"))


def last_real(ids, mask):
    """The last True position of every row of a mask, on whichever side the padding is.  ids, mask (B, T) -> (B,)"""
    if ids.dim() != 2 or ids.shape != mask.shape or not mask.any(1).all():
        raise ValueError(
            f"ids and mask must be (B, T) with a real token in every row, got ids {tuple(ids.shape)} and mask "
            f"{tuple(mask.shape)}: drop empty sequences"
        )
    return mask.shape[1] - 1 - mask.int().flip(1).argmax(1)


def in_groups(model, ids, mask, groups=4):
    """The scores of model(ids, mask), rows of like length read together: little padding is computed.  (B, T) -> (B,)

    Padding on the right, which is what padded() makes.
    """
    if groups == 1:
        return model(ids, mask)
    ends = last_real(ids, mask) + 1
    parts = ends.argsort().chunk(groups)
    scores = [model(ids[part, : ends[part].max()], mask[part, : ends[part].max()]) for part in parts]
    return torch.cat(scores)[torch.cat(parts).argsort()]


def padded(rows):
    """Lists of ids -> ids and mask (B, T), padded on the right."""
    ids = pad(rows)
    return ids, torch.arange(ids.shape[1]) < torch.tensor([[len(row)] for row in rows])


def rated(model, prompts, answers):
    """A reward model's scores of answers given as text; silence counts as a full stop.  -> (B,)"""
    return model.score([chat.render(talk(*said))[0] for said in zip(prompts, answers, strict=True)])


def margins(model, pairs):
    """The difference of scores of each pair (chosen ids, rejected ids).  -> (pairs,)"""
    chosen, rejected = (model.score([pair[side] for pair in pairs]) for side in (0, 1))
    return chosen - rejected


def check_pairs(pairs):
    """There are pairs, and each compares two sequences that are not empty and not the same."""
    if not pairs:
        raise ValueError("there are no pairs to learn from: give one pair of (chosen ids, rejected ids) or more")
    for i, (chosen, rejected) in enumerate(pairs):
        if not len(chosen) or not len(rejected):
            raise ValueError(f"pair {i} has an empty side, which has no last token to be scored at: leave it out")
        if list(chosen) == list(rejected):
            raise ValueError(f"pair {i} prefers a sequence to itself: its margin is 0 for any model, leave it out")


def pair_batches(pairs, batch, generator_for):
    """Pairs drawn at random: batch(step) -> ids and mask (2B, T), the chosen in the first half."""
    check_pairs(pairs)

    def at(step):
        drawn = torch.randint(len(pairs), (batch,), generator=generator_for(step)).tolist()
        return padded([pairs[i][side] for side in (0, 1) for i in drawn])

    return at


def batch_loss(model, ids, mask, loss=pair_loss):
    """The mean loss of a batch of pairs, as lm.training.train takes it.  ids, mask (2B, T)"""
    return loss(*model(ids, mask).chunk(2)).mean()


def train(model, pairs, plan=Plan(steps=60, lr=1e-3, warmup=5), batch=16, seed=0, loss=pair_loss, groups=1):
    """Fit a reward model to (chosen ids, rejected ids); yields loss and accuracy of each batch before its step.

    loss(chosen scores, rejected scores) -> (B,); with 4 groups a step reads rows of like length together, see in_groups
    """
    draw = pair_batches(pairs, batch, lambda step: seeds.rng(seed, "reward model", step))
    optimizer = adamw(model, plan.lr, plan.weight_decay)
    for step in range(plan.steps):
        set_rate(optimizer, learning_rate(step, plan))
        chosen, rejected = in_groups(model, *draw(step), groups).chunk(2)
        value = loss(chosen, rejected).mean()
        update(model, optimizer, value, plan.clip)
        yield {"step": step, "loss": value.item(), "accuracy": (chosen > rejected).float().mean().item()}
