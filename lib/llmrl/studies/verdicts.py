"""KTO on verdicts of which one in ten is bad, beside even verdicts, shuffled ones, and SFT on the good answers.

Every run starts from the sft checkpoint and learns from 256 answers of the crowd, no two from one pair, each judged
good or bad by which side of its pair it was. Measured: the gold reward of what the model says to 192 prompts, the
share of 192 fresh pairs whose better answer gained more on the reference, and how often the reference point was zero.
Left out: tuning. Beta, rate and steps are the same for all runs of KTO, and were chosen before any was measured here.
"""

import copy
import json
from functools import partial
from statistics import mean, stdev

import torch

from llmrl.lm.training import Plan
from llmrl.preference import losses, methods
from llmrl.preference.train import fit, reference_logp, rendered, unpaired
from llmrl.seeds import rng
from llmrl.toy import checkpoints, files, preferences
from llmrl.toy.make import SEED
from llmrl.tuning.exam import told

SEEDS, ASKED, FRESH = 6, 192, 192
PLAN, BATCH, BETA = Plan(steps=32, lr=5e-4, warmup=5), 12, 0.3
ARMS = {  # good answers, bad ones, their weights
    "even": (128, 128, (1.0, 1.0)),
    "one in ten bad": (230, 26, (26 / 230, 1.0)),
    "weights left equal": (230, 26, (1.0, 1.0)),
    "verdicts shuffled": (230, 26, (26 / 230, 1.0)),
    "SFT on the good": (230, 0, None),
}


def verdict_rows(seed, good, bad):
    """So many good and bad answers, no two from one pair -> rows with a stranger's answer each, verdicts (rows,)."""
    rows, verdicts = unpaired(rendered(preferences.pairs(good + bad, f"{seed} verdicts")))
    taken = list(range(0, 2 * good, 2)) + list(range(2 * good + 1, 2 * (good + bad), 2))
    return [rows[i] for i in taken], verdicts[taken]


def verdict_loss(verdicts, weights, points):
    """KTO on the rows of a batch; appends each step's reference point to points."""

    def loss(b):
        points.append(losses.reference_point(*b.watched(1), *b.ref_logp(1)))
        return losses.kto(*b.logp(0), *b.ref_logp(0), verdicts[b.drawn], points[-1], BETA, weights)

    return loss


def learn(arm, seed, start):
    """One run of an arm -> the model, the reference points of its steps (none for SFT)."""
    good, bad, weights = ARMS[arm]
    rows, verdicts = verdict_rows(seed, good, bad)
    if arm == "verdicts shuffled":
        verdicts = verdicts[torch.randperm(len(verdicts), generator=rng(seed, "shuffled verdicts"))]
    points, model = [], copy.deepcopy(start)
    loss, reference = verdict_loss(verdicts, weights, points), None
    if weights is None:
        loss, rows = methods.sft(), [row[:1] for row in rows]
    else:
        reference = reference_logp(start, rows)
    for _ in fit(model, rows, loss, reference, PLAN, BATCH, seed):
        pass
    return model, [point.item() for point in points]


def ranked(model, start, seed):
    """The share of fresh pairs whose better answer gained more, over the reference, than the other."""
    pairs = rendered(preferences.pairs(FRESH, f"{seed} verdicts, fresh"))
    gained = reference_logp(model, pairs) - reference_logp(start, pairs)
    return (gained[:, 0] > gained[:, 1]).float().mean().item()


def run(arm, seed):
    """Train an arm and measure it -> a flat dictionary of numbers."""
    start = checkpoints.load("sft")
    seed = f"{SEED} verdicts {seed}"
    model, points = learn(arm, seed, start) if arm in ARMS else (start, [])
    golds = told(model, seed, ASKED)[2]
    found = {"gold": mean(golds), "error": stdev(golds) / ASKED**0.5, "ranked": ranked(model, start, seed)}
    if points:
        found |= {"point": mean(points), "zero": mean(point == 0 for point in points)}
    return {key: round(value, 4) for key, value in found.items()}


def make(kept):
    """All arms and the sft model itself, on all seeds."""
    rows = []
    for seed in range(SEEDS):
        for arm in ("before", *ARMS):
            rows.append({"arm": arm, "seed": seed} | kept(f"{arm}, seed {seed}", partial(run, arm, seed)))
    files.ship("studies/verdicts.json", json.dumps({"runs": rows}, indent=1) + "\n")
