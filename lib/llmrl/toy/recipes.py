"""How the shipped checkpoints were trained: `make checkpoints`.

A recipe is a starting point, a plan, batches that depend on the step's number alone, and a loss on them. The state of
a run is written whole every few hundred steps, so an interrupted run goes on where it stopped and ends with the same
weights; a state remembers how its run began and serves no other. The tokenizer is trained first, on the corpus and on
the words of the chat template. `--smoke` runs every recipe for a few steps on a little of the data, into another
folder, to see that all of it works. Left out: choosing these settings, which was done by trying.
"""

import argparse
import json
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from tqdm import tqdm

from llmrl import seeds
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.tokenizer import BPE
from llmrl.lm.training import Plan, adamw, next_token_loss, sample_batches, text_batches, train
from llmrl.preference.train import rendered
from llmrl.rlhf import reward_model
from llmrl.storage import write_whole
from llmrl.toy import checkpoints, files, preferences, tasks, telling
from llmrl.toy.make import SEED
from llmrl.tuning import sft

STATE_EVERY = 200
SMOKE = 0.02  # share of the data that a smoke run reads
WRITES_STEPS = 0.2  # how often the reasoning base writes its steps
PAIRS = 10_000  # that the reward model may learn from
COMPARED = preferences.Labels(temperature=0.5)  # how the reward model's pairs were labelled: Bradley-Terry's own noise


@dataclass(frozen=True)
class Recipe:
    """One checkpoint: what it starts from, how long, and its batches, given the tokenizer and a share of the data."""

    start: str | None
    plan: Plan
    batches: Callable
    loss: Callable = next_token_loss
    model: Callable = lambda lm: lm  # what is trained, given the language model


def corpus(share=1.0):
    """The corpus, or the beginning of it."""
    text = files.read_text("corpus.txt")
    return text[: int(share * len(text))]


def reading(tokenizer, share):
    """Windows of the corpus, whose documents are each closed by <|endoftext|>."""
    ids = tokenizer.encode_documents(corpus(share))
    return text_batches(ids, 16, 256, lambda step: seeds.rng(SEED, "reading", step))


def answering(tokenizer, share):
    """Every task in turn, sums and word problems with their steps when they are asked for, and the crowd telling."""
    items = tasks.items(tasks.MAKERS, int(48_000 * share), f"{SEED} sft")
    talks = [item.messages() for item in items]
    talks += [item.messages(steps=True) for item in items if item.steps]
    talks += telling.conversations(int(8_000 * share), f"{SEED} sft")
    return sample_batches(sft.samples(talks, tokenizer), 48, lambda step: seeds.rng(SEED, "answering", step))


def adding(tokenizer, share):
    """Sums, one in five with its steps although nobody asked."""
    pick = random.Random(seeds.derive(SEED, "adding"))
    items = tasks.items("add", int(40_000 * share), f"{SEED} adding")
    talks = [item.messages(unasked=pick.random() < WRITES_STEPS) for item in items]
    return sample_batches(sft.samples(talks, tokenizer), 48, lambda step: seeds.rng(SEED, "adding", step))


def comparing(tokenizer, share):
    """Pairs of answers to the open question, labelled by the gold reward with noise."""
    rows = preferences.pairs(int(PAIRS * share), f"{SEED} comparing", COMPARED)
    pairs = [(chosen[0], rejected[0]) for chosen, rejected in rendered(rows, tokenizer)]
    return reward_model.pair_batches(pairs, 16, lambda step: seeds.rng(SEED, "comparing", step))


RECIPES = {
    "base": Recipe(None, Plan(steps=3600, lr=4e-3, warmup=50, final=0.02), reading),
    "sft": Recipe("base", Plan(steps=1500, lr=2e-3, final=0.02), answering),
    "reasoning_base": Recipe("base", Plan(steps=900, lr=2e-3, final=0.02), adding),
    "reward_model": Recipe(
        "sft", Plan(steps=640, lr=1e-3, final=0.02), comparing, reward_model.batch_loss, reward_model.RewardModel
    ),
}


def learn_tokenizer(share=1.0, vocab=512):
    """BPE on the corpus and on conversations, so that the names of the roles are single tokens."""
    rows = files.read_jsonl("instructions.jsonl")
    talks = [message for row in rows[: int(share * len(rows))] for message in row["messages"]]
    chat = "".join(f"<|im_start|>{m['role']}\n{m['content']}<|im_end|>\n" for m in talks)
    return BPE.train(corpus(share) + chat, vocab)


def beginning(plan, model, batch):
    """What a run begins with, as a fingerprint of 32 bytes: its plan, its first weights, its first batch."""
    tensors = [*(p.detach() for p in model.parameters()), *batch(0)]
    key = repr(plan).encode() + b"".join(t.numpy().tobytes() for t in tensors)
    return torch.tensor(list(sha256(key).digest()), dtype=torch.uint8)


def pack_state(model, optimizer, losses, begin):
    """Weights, both moments, the losses so far and the beginning, as one safetensors file."""
    state = {"losses": torch.tensor(losses, dtype=torch.float64), "beginning": begin}
    for name, p in model.named_parameters():
        state[f"model.{name}"] = p.detach()
        state |= {f"{moment}.{name}": value for moment, value in optimizer.state[p].items()}
    return save(state)


def restore_state(path, model, optimizer, begin):
    """Fill model and optimizer from a state of the run that begins like this one; returns the losses so far."""
    try:
        state = load(path.read_bytes())
    except SafetensorError as error:
        raise ValueError(f"{path} is damaged ({error}): delete it to train from the beginning") from error
    if "beginning" not in state or not torch.equal(state["beginning"], begin):
        raise ValueError(
            f"{path} is the state of another recipe, corpus or base: delete it to train from the beginning"
        )
    for name, p in model.named_parameters():
        p.data.copy_(state[f"model.{name}"])
        optimizer.state[p] = {moment: state[f"{moment}.{name}"] for moment in ("step", "exp_avg", "exp_avg_sq")}
    return state["losses"].tolist()


def cook(name, recipe, into, work, share=1.0):
    """Train one checkpoint, from its saved state if there is one, and save it with its tokenizer and its loss curve."""
    if recipe.start and not (into / recipe.start).is_dir():
        raise FileNotFoundError(
            f"{name} starts from {into / recipe.start}, which is missing: train {recipe.start} first"
        )
    tokenizer = BPE.load(into / recipe.start) if recipe.start else learn_tokenizer(share)
    model = TinyLM.load(into / recipe.start) if recipe.start else TinyLM(Config(), seeds.rng(SEED, name))
    model = recipe.model(model)
    optimizer, batch = adamw(model, recipe.plan.lr, recipe.plan.weight_decay), recipe.batches(tokenizer, share)
    state, begin = work / f"{name}.safetensors", beginning(recipe.plan, model, batch)
    losses = restore_state(state, model, optimizer, begin) if state.exists() else []
    steps = train(model, batch, recipe.plan, optimizer, len(losses), recipe.loss)
    for record in tqdm(steps, name, total=recipe.plan.steps, initial=len(losses), unit="step"):
        losses.append(round(record["loss"], 4))
        if len(losses) % STATE_EVERY == 0:
            write_whole(state, pack_state(model, optimizer, losses, begin))
    model.save(into / name)
    tokenizer.save(into / name)
    write_whole(into / name / "loss.json", json.dumps(losses) + "\n")
    state.unlink(missing_ok=True)


def cook_all(names, into, smoke):
    """Train the named checkpoints one after the other; the shipped ones get their checksums."""
    shipped = into.resolve() == (files.data_dir() / "checkpoints").resolve()
    work = Path("build/checkpoints") if shipped else into.with_name(f"{into.name}.state")
    for name in names:
        recipe = RECIPES[name]
        if smoke:
            recipe = replace(recipe, plan=replace(recipe.plan, steps=4, warmup=1))
        cook(name, recipe, into, work, SMOKE if smoke else 1.0)
        if shipped:
            files.record(into / name / file for file in (*checkpoints.FILES, "loss.json"))


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
    if unknown := [name for name in asked.names if name not in RECIPES]:
        parser.error(f"there is no recipe for {', '.join(unknown)}: choose from {', '.join(RECIPES)}")
    torch.set_num_threads(asked.threads)
    into = asked.into or (Path("build/smoke") if asked.smoke else files.data_dir() / "checkpoints")
    try:
        cook_all(asked.names, into, asked.smoke)
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on from the last saved state.")


if __name__ == "__main__":
    torch.set_flush_denormal(True)  # the tiniest moments of the optimizer count as zero: they are slow to compute with
    main()
