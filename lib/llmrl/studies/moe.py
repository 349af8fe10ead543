"""What becomes of sixteen experts in six hundred steps, with and without something that keeps them equally busy.

Small language models read the corpus; they differ in what follows attention alone: one network (dense), one twice as
wide, or sixteen of which a token visits one or two. Recorded are the loss on held-out text and how many experts carry
the load. Left out: models of the size that experts are made for.
"""

import json
from dataclasses import replace
from functools import partial

import torch

from llmrl.lm.balance import effective, shares, steer
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.moe import Routing, balanced, layers_of, with_experts
from llmrl.lm.training import Plan, next_token_loss, text_batches, train
from llmrl.seeds import rng
from llmrl.toy import checkpoints, files
from llmrl.toy.make import SEED

CONFIG = Config(width=64, layers=2, heads=2, kv_heads=1, ffn=64, context=64)
ONE, TWO = Routing(16, 1, renormalise=False), Routing(16, 2)
VARIANTS = {  # the routing, or the width of one network; weight of the balancing loss; step of the bias
    "dense": (64, 0.0, 0.0),
    "top-1": (ONE, 0.0, 0.0),
    "top-1, loss": (ONE, 0.01, 0.0),
    "top-1, bias": (ONE, 0.0, 0.01),
    "dense, twice as wide": (128, 0.0, 0.0),
    "top-2": (TWO, 0.0, 0.0),
    "top-2, loss": (TWO, 0.01, 0.0),
}
SEEDS, STEPS, BATCH, EVERY = 3, 600, 16, 10


def text(name, characters):
    """The beginning of a shipped text as ids, <|endoftext|> between its documents."""
    return checkpoints.tokenizer().encode_documents(files.read_text(name)[:characters])


def build(kind, seed):
    """A model of the study before its first step; kind is a Routing, or the width of one network."""
    generator = rng(SEED, "experts", seed)
    if isinstance(kind, Routing):
        return with_experts(TinyLM(CONFIG, generator), CONFIG.ffn, kind, generator)
    return TinyLM(replace(CONFIG, ffn=kind), generator)


@torch.no_grad()
def held_out_loss(model, rows=400):
    """The loss on windows of text the model has not read."""
    ids = torch.tensor(text("heldout.txt", 150_000)[: rows * CONFIG.context]).view(-1, CONFIG.context)
    return next_token_loss(model, ids, torch.ones_like(ids, dtype=torch.bool)).item()


def learn(model, seed, alpha, rate, steps):
    """Train, and yield the load of every layer of experts, (layers, E), after each step."""
    ids = text("corpus.txt", 1_500_000)
    batch = text_batches(ids, BATCH, CONFIG.context, lambda step: rng(SEED, "experts", seed, "batch", step))
    for _ in train(model, batch, Plan(steps), loss=balanced(alpha)):
        loads = [shares(layer.chosen, layer.routing.experts) for layer in layers_of(model)]
        for layer, f in zip(layers_of(model), loads):
            layer.bias = steer(layer.bias, f, rate)
        yield loads


def run(name, seed):
    """One variant, one seed.  -> {"loss", "effective": by layer, ten batches in one, "load": of the last hundred}"""
    kind, alpha, rate = VARIANTS[name]
    model = build(kind, seed)
    loads = list(learn(model, seed, alpha, rate, STEPS))
    found = {"loss": round(held_out_loss(model), 4)}
    if isinstance(kind, Routing):
        loads = torch.stack([torch.stack(layers) for layers in loads])  # (steps, layers, E)
        batchwise = effective(
            loads
        )  # (steps, layers); an average load would hide a crowd that moves from batch to batch
        tenths = batchwise.view(-1, EVERY, loads.shape[1]).mean(1)
        found["effective"] = [[round(x, 2) for x in row] for row in tenths.tolist()]
        found["load"] = [[round(x, 4) for x in row] for row in loads[-100:].mean(0).tolist()]
    return found


def make(kept):
    """studies/moe.json: variant -> one result per seed."""
    results = {name: [] for name in VARIANTS}
    for seed in range(SEEDS):
        for name, found in results.items():
            found.append(kept(f"{name}, seed {seed}", partial(run, name, seed)))
    files.ship("studies/moe.json", json.dumps({"every": EVERY, "variants": results}) + "\n")
