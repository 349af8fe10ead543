"""Warm-up, cosine, weight decay and clipping, each removed in turn: same seeds, same batches, two learning rates.

At the lower rate the recipe has room to spare, at three times that rate it works at its edge; what a part is good for
shows at the edge first. Two controls: a warm-up of 4 steps instead of 40, and no cosine at half the rate, which is the
mean rate the cosine has. The curves are kept, and the held-out loss, the length of all matrices as one vector, and the
longest gradient after warm-up.
Left out: other optimizers, and runs long enough for weight decay to earn its keep.
"""

import json
from dataclasses import replace
from functools import partial

import torch

from llmrl.lm.model import TinyLM
from llmrl.lm.training import Plan, mean_loss, train
from llmrl.seeds import rng
from llmrl.studies.scaling import BATCH, fresh, held_out, size
from llmrl.toy import files
from llmrl.toy.make import SEED

WIDTH, STEPS, SEEDS, POINTS = 32, 400, 4, 40
RATES = (0.006, 0.018)
WHOLE = Plan(steps=STEPS, lr=RATES[0], warmup=40, final=0.0)
WITHOUT = {
    "nothing": {},
    "warm-up": {"warmup": 0},
    "cosine": {"final": 1.0},
    "weight decay": {"weight_decay": 0.0},
    "clipping": {"clip": 1e9},
    "most of the warm-up": {"warmup": WHOLE.warmup // 10},
}


def run(without, lr, seed):
    """Train with one part of the recipe removed -> curve, held-out loss, lengths of weights and gradients."""
    text, model = fresh(STEPS, f"schedule {seed}"), TinyLM(size(WIDTH), rng(SEED, "schedule", seed))

    def batch(step):
        ids = text[step * BATCH : (step + 1) * BATCH]
        return ids, torch.ones_like(ids, dtype=torch.bool)

    plan = replace(WHOLE, lr=lr, **WITHOUT[without])
    records = list(train(model, batch, plan))
    curve = torch.tensor([record["loss"] for record in records]).view(POINTS, -1).mean(1)
    length = torch.stack([p.detach().norm() for p in model.parameters() if p.dim() > 1]).norm()
    return {"without": without, "lr": lr, "seed": seed, "loss": round(mean_loss(model, held_out()), 4),
            "weights": round(length.item(), 2), "longest": max(r["grad_norm"] for r in records[WHOLE.warmup :]),
            "curve": [round(x, 3) for x in curve.tolist()]}  # fmt: skip


def make(kept):
    """Every part, both rates, all seeds, and the controls."""
    pairs = [(without, lr) for lr in RATES for without in WITHOUT] + [("cosine", lr / 2) for lr in RATES]
    cases = [(without, lr, seed) for without, lr in pairs for seed in range(SEEDS)]
    runs = [kept("without {}, rate {}, seed {}".format(*case), partial(run, *case)) for case in cases]
    files.ship("studies/schedule.json", json.dumps({"runs": runs}, indent=1) + "\n")
