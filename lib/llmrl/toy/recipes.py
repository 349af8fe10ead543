"""How the shipped checkpoints were trained: `make checkpoints`.

A recipe is a starting point, a plan and batches that depend on the step's number alone. The state of a run is written
whole every few hundred steps, so an interrupted run goes on where it stopped and ends with the same weights. The
tokenizer is trained first, on the corpus and on the words of the chat template. `--smoke` runs every recipe for a few
steps into another folder, to see that all of it works. Left out: choosing these settings, which was done by trying.
"""

import argparse
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from tqdm import tqdm

from llmrl import seeds
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.tokenizer import BPE
from llmrl.lm.training import Plan, adamw, sample_batches, text_batches, train
from llmrl.storage import write_whole
from llmrl.toy import files, tasks, telling
from llmrl.toy.make import SEED
from llmrl.tuning import sft

STATE_EVERY = 200
WRITES_STEPS = 0.2  # how often the reasoning base writes its steps


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: what it starts from, how long, and its batches (given the tokenizer)."""

    start: str | None
    plan: Plan
    batches: Callable


def corpus_ids(tokenizer, name="corpus.txt"):
    """A text file's documents as one row of ids, each closed by <|endoftext|>."""
    return tokenizer.encode(files.read_text(name).replace("\n", "<|endoftext|>"))


def reading(tokenizer):
    """Windows of the corpus."""
    return text_batches(corpus_ids(tokenizer), 16, 256, lambda step: seeds.rng(SEED, "reading", step))


def answering(tokenizer):
    """Every task in turn, sums and word problems with their steps when they are asked for, and the crowd telling."""
    items = tasks.items(tasks.MAKERS, 48_000, f"{SEED} sft")
    talks = [item.messages() for item in items]
    talks += [item.messages(steps=True) for item in items if item.steps]
    talks += telling.conversations(8_000, f"{SEED} sft")
    return sample_batches(sft.samples(talks, tokenizer), 48, lambda step: seeds.rng(SEED, "answering", step))


def adding(tokenizer):
    """Sums, one in five with its steps although nobody asked."""
    pick = random.Random(seeds.derive(SEED, "adding"))
    items = tasks.items("add", 40_000, f"{SEED} adding")
    talks = [item.messages(unasked=pick.random() < WRITES_STEPS) for item in items]
    return sample_batches(sft.samples(talks, tokenizer), 48, lambda step: seeds.rng(SEED, "adding", step))


RECIPES = {
    "base": Recipe(None, Plan(steps=3600, lr=4e-3, warmup=50, final=0.02), reading),
    "sft": Recipe("base", Plan(steps=1500, lr=2e-3, final=0.02), answering),
    "reasoning_base": Recipe("base", Plan(steps=900, lr=2e-3, final=0.02), adding),
}


def learn_tokenizer(vocab=512):
    """BPE on the corpus and on conversations, so that the names of the roles are single tokens."""
    talks = [message for row in files.read_jsonl("instructions.jsonl") for message in row["messages"]]
    chat = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in talks)
    return BPE.train(files.read_text("corpus.txt") + chat, vocab)


def pack_state(model, optimizer, step):
    """Weights, both moments and the step as one safetensors file."""
    state = {f"model.{name}": p.detach().clone() for name, p in model.named_parameters()}
    for name, p in model.named_parameters():
        for moment in ("exp_avg", "exp_avg_sq", "step"):
            state[f"{moment}.{name}"] = optimizer.state[p][moment].clone()
    return save(state | {"done": torch.tensor(step + 1)})


def restore_state(path, model, optimizer):
    """Fill model and optimizer from a saved state; returns the step to go on with."""
    state = load_file(path)
    with torch.no_grad():
        for name, p in model.named_parameters():
            p.copy_(state[f"model.{name}"])
            optimizer.state[p] = {moment: state[f"{moment}.{name}"] for moment in ("exp_avg", "exp_avg_sq", "step")}
    return int(state["done"])


def cook(name, recipe, into, work):
    """Train one checkpoint, from its saved state if there is one, and save it with its tokenizer and its loss curve."""
    tokenizer = BPE.load(into / "base") if recipe.start else learn_tokenizer()
    model = TinyLM.load(into / recipe.start) if recipe.start else TinyLM(Config(), seeds.rng(SEED, "base"))
    optimizer = adamw(model, recipe.plan.lr, recipe.plan.weight_decay)
    state, curve = work / f"{name}.safetensors", work / f"{name}.json"
    start = restore_state(state, model, optimizer) if state.exists() else 0
    losses = json.loads(curve.read_text())[:start] if start else []
    steps = train(model, recipe.batches(tokenizer), recipe.plan, optimizer, start)
    for record in tqdm(steps, name, total=recipe.plan.steps, initial=start, unit="step"):
        losses.append(round(record["loss"], 4))
        if record["step"] % STATE_EVERY == STATE_EVERY - 1:
            write_whole(curve, json.dumps(losses))
            write_whole(state, pack_state(model, optimizer, record["step"]))
    model.save(into / name)
    tokenizer.save(into / name)
    write_whole(into / name / "loss.json", json.dumps(losses) + "\n")
    state.unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser(
        description="Train the shipped checkpoints; go on where an interrupted run stopped."
    )
    parser.add_argument("names", nargs="*", default=list(RECIPES), help=f"some of {', '.join(RECIPES)}")
    parser.add_argument("--into", type=Path, help="another folder than data/checkpoints")
    parser.add_argument(
        "--smoke", action="store_true", help="a few steps of each, into build/smoke unless --into says otherwise"
    )
    parser.add_argument("--threads", type=int, default=2, help="cores to use; one is better when others are at work")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)
    into = asked.into or (Path("build/smoke") if asked.smoke else files.data_dir() / "checkpoints")
    for name in asked.names:
        recipe = RECIPES[name]
        if asked.smoke:
            recipe = replace(recipe, plan=replace(recipe.plan, steps=4, warmup=1))
        cook(name, recipe, into, into.parent / "build" if asked.into or asked.smoke else Path("build/checkpoints"))
        if into == files.data_dir() / "checkpoints":
            files.record(sorted((into / name).iterdir()))


if __name__ == "__main__":
    main()
