"""A small model that guesses for a large one: the draft of speculative decoding.

It has read the same corpus as `base` with the same tokenizer, but has one layer instead of four and half the width, so
a guess of its costs about a third of a pass through `base`. It is worse, which is the point: where the two disagree
the large one decides. Left out: training the draft on the large model's own text, which makes it agree more often.
"""

import json

from llmrl import seeds
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import Plan, text_batches, train
from llmrl.toy import checkpoints, files
from llmrl.toy.make import SEED

CONFIG = Config(width=64, layers=1, heads=2, kv_heads=1, ffn=168)
PLAN = Plan(steps=4000, lr=8e-3, warmup=50, final=0.02)
FOLDER = "studies/draft"
EVERY = 100  # steps whose losses are averaged into one number


def load():
    """The draft, in evaluation mode."""
    for name in ("config.json", "model.safetensors"):
        path = files.path(f"{FOLDER}/{name}")
    return TinyLM.load(path.parent)


def trained(kept):
    """Train the draft, leave it beside what is kept, and return its losses."""
    model = TinyLM(CONFIG, seeds.rng(SEED, "draft", "weights"))
    ids = checkpoints.tokenizer().encode_documents(files.read_text("corpus.txt"))
    batch = text_batches(ids, 8, CONFIG.context, lambda step: seeds.rng(SEED, "draft", "reading", step))
    losses = [record["loss"] for record in train(model, batch, PLAN)]
    model.save(kept.file("model"))
    return [sum(losses[i : i + EVERY]) / EVERY for i in range(0, len(losses), EVERY)]


def make(kept):
    """Train the draft once and ship it with the losses of its training."""
    losses = kept("losses", lambda: trained(kept))
    folder = TinyLM.load(kept.file("model")).save(files.data_dir() / FOLDER)
    files.record(sorted(folder.iterdir()))
    files.ship(f"{FOLDER}.json", json.dumps({"steps": EVERY, "loss": losses}, indent=1) + "\n")
