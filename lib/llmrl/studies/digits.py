"""Do merged digits make adding harder?  Four tokenizers, the same sums, the same small model, three seeds.

There are 10,000 sums of two numbers below 100. A model reads 3,000 of them, 64 in each of 3,000 steps, and is then
asked 1,000 that it has not read. Only the tokenizer differs: BPE is trained once, on the sums to be read, with runs of
digits kept together, and its first 0, 40, 90 or 188 merges are used. With none every digit is a token, with all of
them every number that was read is. Left out: larger models and longer training, which may well learn what these do not.
"""

import json
from dataclasses import replace
from functools import cache, partial

import torch
from safetensors.torch import load_file, save_file

from llmrl.lm.digits import pattern
from llmrl.lm.generation import generate
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.tokenizer import BPE, FIRST_MERGE
from llmrl.lm.training import Plan, sample_batches, train
from llmrl.seeds import rng
from llmrl.toy import files
from llmrl.toy.make import SEED

MERGES, SEEDS, READ, ASKED = (0, 40, 90, 188), 3, 3_000, 1_000
PLAN, BATCH, LOOK = Plan(steps=3_000, lr=4e-3, warmup=50, final=0.02), 64, 500
SIZE = Config(width=64, layers=2, heads=4, kv_heads=2, ffn=176, context=16)
SHIPPED = (0, 188)  # the models of the first seed that go with the course


@cache
def sums():
    """All pairs of numbers below 100 in an order of their own: the first 3,000 are read, no other is."""
    order = torch.randperm(10_000, generator=rng(SEED, "digits", "order")).tolist()
    return [divmod(i, 100) for i in order]


@cache
def learned():
    """BPE on the sums that are read, trained until every number is one token."""
    text = "\n".join(f"{a}+{b}={a + b}" for a, b in sums()[:READ])
    return BPE.train(text, FIRST_MERGE + MERGES[-1], pattern("runs kept together"))


@cache
def tokenizer(merges):
    """The first so many merges."""
    return BPE(learned().merges[:merges], learned().pattern)


def question(tokenizer, a, b):
    return [tokenizer.eos_id, *tokenizer.encode(f"{a}+{b}=")]


def sample(tokenizer, a, b):
    """One sum as ids, and True on what is to be learned: the result and the end."""
    asked, answer = question(tokenizer, a, b), [*tokenizer.encode(str(a + b)), tokenizer.eos_id]
    return asked + answer, [False] * len(asked) + [True] * len(answer)


def right(model, tokenizer, pairs):
    """For each pair, whether the model writes its sum."""
    said = generate(model, [question(tokenizer, a, b) for a, b in pairs], 4, stop=(tokenizer.eos_id,)).lists()
    return [tokenizer.decode(ids) == str(a + b) for ids, (a, b) in zip(said, pairs)]


def share(answers):
    return sum(answers) / len(answers)


def size(merges):
    """The same model for every tokenizer, but for the rows of its embedding."""
    return replace(SIZE, vocab=FIRST_MERGE + merges)


def learn(merges, seed, file=None):
    """Train one model; -> the share of unread sums it gets right every 500 steps, and of read ones at the end."""
    tok = tokenizer(merges)
    samples = [sample(tok, a, b) for a, b in sums()[:READ]]
    batch = sample_batches(samples, BATCH, lambda step: rng(SEED, "digits", seed, "batch", step))
    model, held_out = TinyLM(size(merges), rng(SEED, "digits", seed, "weights")), []
    for record in train(model, batch, PLAN):
        if (record["step"] + 1) % LOOK == 0:
            held_out.append(share(right(model, tok, sums()[READ : READ + ASKED])))
    if file:
        save_file({name: weight.half().contiguous() for name, weight in model.state_dict().items()}, file)
    return {"unread": held_out, "read": share(right(model, tok, sums()[:ASKED]))}


def model(merges):
    """The shipped model for that many merges, as the first seed left it, its weights rounded to 16 bits."""
    found = TinyLM(size(merges))
    weights = load_file(files.path(f"studies/digits.{merges}.safetensors"))
    found.load_state_dict({name: weight.float() for name, weight in weights.items()})
    return found.eval()


def make(kept):
    """The answers of every run as studies/digits.json, and two of the models."""
    results = {}
    for merges in MERGES:
        for seed in range(SEEDS):
            file = kept.file(f"{merges}.safetensors") if merges in SHIPPED and seed == 0 else None
            run = kept(f"{merges} merges, seed {seed}, {PLAN}", partial(learn, merges, seed, file))
            results.setdefault(str(merges), []).append(run)
    for merges in SHIPPED:
        files.ship(f"studies/digits.{merges}.safetensors", kept.file(f"{merges}.safetensors").read_bytes())
    files.ship("studies/digits.json", json.dumps(results, indent=1) + "\n")
