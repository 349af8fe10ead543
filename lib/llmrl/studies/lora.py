"""How LoRA is to be set: learning rate, rank, place, start and scaling, each against a full fine-tune of equal steps.

`sft` is tuned until the world has changed: 128 new facts, exactly countable (llmrl.toy.changed). Every setting is run
with three seeds, and a seed draws the facts, the batches and A. What is shipped is, per run, the loss and the share of
facts it then knows; the spectra of full fine-tunes and what is left of one when only its first directions are kept; and
what LoRA from `base` loses when the rows of the chat's own tokens stay untrained. Left out: longer runs, and a learning
rate of its own for every cell of the map of ranks and places.
"""

import copy
import json
from functools import partial
from itertools import product

import torch

from llmrl import seeds
from llmrl.lm.logprobs import masked_mean, token_logp
from llmrl.lm.training import Plan, next_token_loss, pad_samples
from llmrl.toy import changed, checkpoints, files, tasks
from llmrl.toy.make import SEED
from llmrl.tuning import exam, lora, lora_init, sft, spectrum, token_rows

STEPS, BATCH, SEEDS = 100, 16, range(3)
ALPHA, RANK, RATE = 16, 8, 1e-2
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
PLACES = {"attention": lora.ATTENTION, "ffn": lora.FFN, "all": lora.ALL}
RANKS = (1, 2, 4, 8, 16, 32)
KEPT = (1, 2, 4, 8, 16, 32, 64, 128)


def plan(lr):
    """No weight decay: it would shrink W itself, which is a change of full rank."""
    return Plan(steps=STEPS, lr=lr, warmup=10, weight_decay=0.0)


def learn(model, seed, lr):
    """Tune a model on the changed world of a seed, in place; yields the records of the steps."""
    talks = [item.messages() for item in changed.items(f"{SEED} {seed}")]
    yield from sft.tune(model, talks, plan(lr), BATCH, f"{SEED} {seed}")


def knows(model, seed):
    """The loss on the answers of the changed world, and the share it answers right."""
    items = changed.items(f"{SEED} {seed}")
    with torch.no_grad():
        loss = next_token_loss(model, *pad_samples(sft.samples([item.messages() for item in items]))).item()
    right = exam.correct(model, items, max_new=16)
    return {"loss": round(loss, 4), "known": sum(right) / len(right)}


def adapted(seed, rank=RANK, where="all", scaling="alpha/r", start="kaiming"):
    """`sft` with adapters, A drawn for that seed."""
    model = lora.inject(checkpoints.load("sft"), rank, ALPHA, PLACES[where], scaling)
    return lora_init.restart(model, start, generator=seeds.rng(SEED, "lora", seed))


def lora_run(lr, seed, **setting):
    """One setting of LoRA, tuned and asked."""
    model = adapted(seed, **setting)
    for _ in learn(model, seed, lr):
        pass
    return knows(model, seed)


def full_run(lr, seed):
    """Every weight tuned, and asked."""
    model = checkpoints.load("sft")
    for _ in learn(model, seed, lr):
        pass
    return knows(model, seed)


def cut(tuned, start, rank):
    """The tuned model with the change of every matrix of its layers cut to its first directions; 0 takes it all out."""
    model, before = copy.deepcopy(tuned), dict(start.named_modules())
    with torch.no_grad():
        for name, delta in spectrum.deltas(tuned, start).items():
            left = spectrum.truncate(delta, min(rank, *delta.shape)) if rank else torch.zeros_like(delta)
            model.get_submodule(name).weight.copy_(before[name].weight + left)
    return model


def spectrum_run(lr, seed):
    """A full fine-tune: the energy of its first directions, per matrix, and what it knows when cut to them."""
    model, start = checkpoints.load("sft"), checkpoints.load("sft")
    for _ in learn(model, seed, lr):
        pass
    shares = {}
    for name, delta in spectrum.deltas(model, start).items():
        energy = spectrum.energy(spectrum.singular_values(delta))
        shares[name] = [round(x, 4) for x in energy.tolist()]
    return {"energy": shares, "cut": {rank: knows(cut(model, start, rank), seed) for rank in (0, *KEPT)}}


def mark_losses(model, items):
    """The loss on the mark that ends an answer, and on the words before it."""
    ids, mask = pad_samples(sft.samples([item.messages() for item in items]))
    with torch.no_grad():
        loss = -token_logp(model(ids), ids)  # (B, T-1)
    ends = ids[:, 1:] == checkpoints.tokenizer().im_end_id
    of = lambda where: round(masked_mean(loss, where & mask[:, 1:]).item(), 4)  # noqa: E731
    return {"marks": of(ends), "words": of(~ends)}


def marks_run(rows, seed):
    """From `base`, which has never met the chat's marks: LoRA with or without their rows of the embedding."""
    talks = tasks.items(tasks.MAKERS, 2400, f"{SEED} {seed} marks")
    model = lora.inject(checkpoints.load("base"), RANK, ALPHA, generator=seeds.rng(SEED, "marks", seed))
    if rows:
        tokenizer = checkpoints.tokenizer()
        token_rows.train_rows(model, [tokenizer.im_start_id, tokenizer.im_end_id])
    how = Plan(steps=60, lr=RATE, warmup=10, weight_decay=0.0)
    for _ in sft.tune(model, [item.messages() for item in talks], how, BATCH, f"{SEED} {seed}"):
        pass
    return mark_losses(model, tasks.items(tasks.MAKERS, 120, f"{SEED} marks", test=True))


def settings():
    """(key, what to run) of every setting, a run each per seed."""
    for lr in (3e-4, *RATES):
        yield f"full {lr:g}", partial(full_run, lr)
    for rank, lr in product((1, RANK, 64), RATES):
        yield f"all {rank} {lr:g}", partial(lora_run, lr, rank=rank)
    for where, rank in product(PLACES, RANKS):
        yield f"{where} {rank} {RATE:g}", partial(lora_run, RATE, rank=rank, where=where)
    for rank, lr in product((RANK, 64), RATES):
        yield f"rslora {rank} {lr:g}", partial(lora_run, lr, rank=rank, scaling="rslora")
    for start, lr in product(("gaussian", "sqrt"), RATES[1:]):
        yield f"{start} {RANK} {lr:g}", partial(lora_run, lr, start=start)
    for where, lr in product(("attention", "ffn"), RATES[1:]):
        yield f"{where} {RANK} {lr:g}", partial(lora_run, lr, where=where)
    yield "spectrum", partial(spectrum_run, 1e-3)
    for rows in (False, True):
        yield f"marks {'rows' if rows else 'none'}", partial(marks_run, rows)


def make(kept):
    """Compute what is missing and ship it."""
    found = {}
    for key, run in settings():
        found[key] = [kept(f"{key}, seed {seed}", partial(run, seed=seed)) for seed in SEEDS]
    files.ship("studies/lora.json", json.dumps(found) + "\n")
