"""Three questions about batches, three seeds each, all from the shipped base on the instruction set.

Which learning rate suits which batch size, when every run reads the same number of conversations, and which when every
run takes the same number of steps? What does it cost to
pack texts into rows and let them read one another? And what is learned instead, when every conversation's mean counts
alike and not every token? Each run is measured alone, text by text, on held-out conversations.
Left out: tuning the rate of the second and third question; one that suited the right runs is taken for both sides.

Shapes: R rows, T positions.
"""

import json
from functools import cache, partial
from itertools import product

import torch

from llmrl import seeds
from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.training import Plan, train
from llmrl.toy import checkpoints, files, telling
from llmrl.toy.make import SEED
from llmrl.tuning import sft
from llmrl.tuning.labels import IGNORE
from llmrl.tuning.packing import by_text, pack, packed_loss

ROOM = 256  # tokens in a row
SIZES, RATES, READ = (4, 16, 64), (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2), 1024  # conversations per step, and in all
FEW = READ // max(SIZES)  # the steps of the largest batches, which the control gives to all
PACKED = Plan(steps=60, lr=2e-3, warmup=6)
SEEDS = 3


@cache
def conversations():
    """The training part of the instruction set, as (ids, answer mask)."""
    rows = files.read_jsonl("instructions.jsonl")
    return sft.samples([row["messages"] for row in rows if row["split"] == "train"])


@cache
def held_out(count=24):
    """For every task, so many conversations that are never trained on, packed."""
    asked = {"tell": telling.conversations(count, f"{SEED} held out")}
    for row in files.read_jsonl("instructions.jsonl"):
        if row["split"] == "test" and len(asked.setdefault(row["task"], [])) < count:
            asked[row["task"]].append(row["messages"])
    return {task: packed(sft.samples(talks)) for task, talks in sorted(asked.items())}


def packed(samples):
    """(ids, mask) pairs in rows."""
    ids, masks = zip(*samples)
    return pack(ids, ROOM, masks)


def drawn(size, *purpose):
    """Batches of so many conversations, none twice, packed: batch(step) -> ids, segments, labels."""
    order = torch.randperm(len(conversations()), generator=seeds.rng(SEED, *purpose)).tolist()

    def at(step):
        chosen = [conversations()[i] for i in order[step * size : (step + 1) * size]]
        ids, _, segments, labels = packed(chosen)
        return ids, segments, labels

    return at


@torch.no_grad()
def measured(model):
    """The mean loss on the answers of every task."""
    return {task: packed_loss(model, p.ids, p.segments, p.labels).item() for task, p in held_out().items()}


def rate_run(size, lr, seed, steps=None):
    """Read the same conversations in batches of one size at one rate; or only the first so many batches of them."""
    steps = steps or READ // size
    plan = Plan(steps=steps, lr=lr, warmup=steps // 10, weight_decay=0.0)
    model = checkpoints.load("base")
    for _ in train(model, drawn(size, "rates", seed), plan, loss=packed_loss):
        pass
    return measured(model)


def glued_loss(model, ids, segments, labels):
    """As packed_loss, but every row is read as one text."""
    return packed_loss(model, ids, torch.ones_like(segments), labels)


def each_text_alike(model, ids, segments, labels):
    """The mean over texts of the mean over their tokens: what micro-batches of one text come to."""
    logp = token_logp(model(ids, segments=segments), ids)
    learned = (labels != IGNORE)[:, 1:]
    texts = zip(by_text(logp, segments[:, 1:]), by_text(learned, segments[:, 1:]))
    return -torch.stack([masked_mean(x, mask) for x, mask in texts]).mean()


LOSSES = {"right": packed_loss, "glued": glued_loss, "each text alike": each_text_alike}


def loss_run(name, seed):
    """Tune with one loss; what is known after every twenty steps."""
    model, found = checkpoints.load("base"), []
    for record in train(model, drawn(48, "losses", seed), PACKED, loss=LOSSES[name]):
        if record["step"] % 20 == 19:
            found.append(measured(model))
    return found


def make(kept):
    """Compute what is missing and ship it."""
    rates, few, losses = {}, {}, {}
    for seed, size, lr in product(range(SEEDS), SIZES, RATES):
        found = kept(f"{size} {lr:g} {seed}", partial(rate_run, size, lr, seed))
        rates.setdefault(f"{size} {lr:g}", []).append(found)
        if size < max(SIZES):
            found = kept(f"{size} {lr:g} {seed} few", partial(rate_run, size, lr, seed, FEW))
        few.setdefault(f"{size} {lr:g}", []).append(found)
    for seed, name in product(range(SEEDS), LOSSES):
        losses.setdefault(name, []).append(kept(f"{name} {seed}", partial(loss_run, name, seed)))
    found = {"sizes": SIZES, "rates": RATES, "read": READ, "found": rates, "few": few, "losses": losses}
    files.ship("studies/batches.json", json.dumps(found) + "\n")
