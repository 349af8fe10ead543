r"""Supervised fine-tuning: next-token prediction on conversations, learning the answers only.

The loop is pre-training's; what changes is the mask. What is not learned need not be scored, and what stands behind the
last learned token of a row need not be computed at all: the same loss in less time. `answers` puts questions to a model
the way it was tuned to be asked. Left out: packing and early stopping, which are modules of their own beside the loop.
"""

import math

import torch
import torch.nn.functional as F

from llmrl import seeds
from llmrl.lm.generation import Sampling, generate
from llmrl.lm.training import Plan, check_samples, pad_samples, sample_batches, train
from llmrl.tuning import chat


def samples(conversations, tokenizer=None, template=chat):
    """(ids, answer mask) of each conversation; template: ChatML, or one of llmrl.tuning.templates."""
    return [template.render(messages, tokenizer) for messages in conversations]


def tune(model, conversations, plan=Plan(steps=200, lr=1e-3), batch=32, seed=0, tokenizer=None):
    """Tune a model in place on the answers of some conversations; yields a record per step."""
    rows = samples(conversations, tokenizer)
    drawn = sample_batches(rows, batch, lambda step: seeds.rng(seed, "sft", step))
    return train(model, drawn, plan, loss=learned_loss)


def learned_loss(model, ids, mask, groups=4):
    r"""The next-token loss of a batch, computed where something is learned only.  ids, mask (B, T) -> ()

    Rows are cut behind their last learned token and read in groups of about one length; only positions that guess a
    learned token are scored.
    """
    needed = (mask * torch.arange(1, ids.shape[1] + 1, device=ids.device)).amax(1)  # (B,) tokens of each row
    hidden, following = [], []
    for rows in needed.argsort().chunk(groups):
        width = int(needed[rows].amax())
        if width > 1:
            part, learned = ids[rows, :width], mask[rows, 1:width]
            hidden.append(model.hidden(part)[:, :-1][learned])  # (learned tokens, D)
            following.append(part[:, 1:][learned])
    if not hidden:
        raise ValueError(f"a mask of shape {tuple(mask.shape)} marks no token with another before it: nothing to learn")
    return F.cross_entropy(model.unembed(torch.cat(hidden)), torch.cat(following))


def epoch_batches(rows, batch, generator_for):
    """Samples in true epochs: batch(step) -> ids and mask (B, T); every sample once before any comes again."""
    check_samples(rows)
    if not 1 <= batch <= len(rows):
        raise ValueError(f"batch must be from 1 to the {len(rows)} samples there are, got {batch}")
    per_epoch = math.ceil(len(rows) / batch)

    def at(step):
        epoch, part = divmod(step, per_epoch)
        order = torch.randperm(len(rows), generator=generator_for(epoch))
        chosen = order[part * batch : (part + 1) * batch].tolist()
        return pad_samples([rows[i] for i in chosen])

    return at


@torch.no_grad()
def answer_loss(model, rows, at_once=64):
    """The loss over all answer tokens of some samples (ids, mask), for measuring.  -> a number"""
    total, tokens = 0.0, 0
    for i in range(0, len(rows), at_once):
        ids, mask = pad_samples(rows[i : i + at_once])
        learned = mask[:, 1:].sum().item()
        total += learned_loss(model, ids, mask).item() * learned if learned else 0.0
        tokens += learned
    if not tokens:
        raise ValueError(f"{len(rows)} samples mark no token of an answer: there is nothing to measure")
    return total / tokens


def answers(model, prompts, max_new=64, sampling=Sampling(), generator=None, tokenizer=None):
    """One response per user prompt, as text."""
    if isinstance(prompts, str):
        raise TypeError(f"prompts must be a list of texts, got the text {prompts[:60]!r}: write [prompt] to ask one")
    asked = [chat.prompt_ids([{"role": "user", "content": prompt}], tokenizer) for prompt in prompts]
    return replies(model, asked, max_new, sampling, generator, tokenizer)


def replies(model, asked, max_new=64, sampling=Sampling(), generator=None, tokenizer=None):
    """What a model writes after prompts that are ids already, in whatever template, as text."""
    done = generate(model, asked, max_new, sampling, generator=generator)
    return [chat.or_own(tokenizer).decode(ids).strip() for ids in done.lists()]
