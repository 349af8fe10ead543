r"""How low the held-out loss gets for a model size and an amount of text: the runs behind a scaling law.

Six widths of a two-layer model, each trained from its own start for every amount of text, with a learning rate that
decays to zero exactly at the end of that run: a run cut short from a longer schedule would look worse than its size and
text deserve (Hoffmann et al. 2022). Every seed has a text of its own and reads no token twice, except in the runs that
repeat a short text on purpose. The learning rate is 0.25 / width: with half of it models learned less in as many steps,
with twice as much some seeds went astray.
Left out: tuning the batch and the depth for every size, which would lower every point a little.
"""

import json
from functools import partial

import torch

from llmrl.lm.model import Config, TinyLM
from llmrl.lm.size import parameters
from llmrl.lm.training import Plan, mean_loss, train
from llmrl.seeds import rng
from llmrl.toy import checkpoints, corpus, files
from llmrl.toy.make import SEED

WIDTHS = (16, 24, 32, 48, 64, 96)
LENGTH, BATCH = 128, 4
STEPS = {400: 2, 800: 2, 1600: 2, 3200: 1}  # steps of 512 tokens: seeds
REPEATED = (4, 16)  # times a short text is read in 1,600 steps, by the model of width 48
POINTS = 20  # of a training curve


def size(width):
    """The model of one width."""
    return Config(width=width, layers=2, heads=2, kv_heads=1, ffn=width * 11 // 4 // 8 * 8, context=LENGTH)


def body(config):
    """The parameters a token is multiplied by inside the layers: all but the embedding."""
    counts = parameters(config)
    return sum(counts.values()) - counts["embedding"]


def windows(text):
    """A text cut into rows of LENGTH tokens, the rest dropped.  -> (rows, LENGTH)"""
    ids = torch.tensor(checkpoints.tokenizer().encode_documents(text))
    return ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)


def fresh(steps, seed):
    """Enough rows for so many steps, from documents that only this seed reads."""
    rows = steps * BATCH
    documents = corpus.documents(rows * LENGTH // 45, f"{SEED} scaling {seed}")
    return windows("\n".join(documents))[:rows]


def held_out():
    """The rows every run is measured on."""
    return windows(files.read_text("heldout.txt"))


def run(width, steps, seed, times=1):
    """Train one model on steps / times batches of text, each read so many times -> held-out loss and training curve."""
    text, config = fresh(steps // times, seed), size(width)
    order = torch.cat([torch.randperm(len(text), generator=rng(SEED, "order", seed, time)) for time in range(times)])
    model = TinyLM(config, rng(SEED, "scaling", width, seed))

    def batch(step):
        ids = text[order[step * BATCH : (step + 1) * BATCH]]
        return ids, torch.ones_like(ids, dtype=torch.bool)

    plan = Plan(steps=steps, lr=0.25 / width, warmup=steps // 10, final=0.0)
    curve = torch.tensor([record["loss"] for record in train(model, batch, plan)]).view(POINTS, -1).mean(1)
    loss = mean_loss(model, held_out())
    return {"width": width, "parameters": body(config), "tokens": steps * BATCH * LENGTH, "times": times, "seed": seed,
            "loss": round(loss, 4), "curve": [round(x, 3) for x in curve.tolist()]}  # fmt: skip


def cases():
    """(width, steps, seed, times) of every run, the cheap ones first."""
    for steps, seeds in STEPS.items():
        for width in WIDTHS:
            for seed in range(seeds):
                yield width, steps, seed, 1
    for times in REPEATED:
        for seed in range(2):
            yield 48, 1600, seed, times


def make(kept):
    """All runs, as one file."""
    runs = [kept("width {}, steps {}, seed {}, times {}".format(*case), partial(run, *case)) for case in cases()]
    files.ship("studies/scaling.json", json.dumps({"runs": runs}, indent=1) + "\n")
