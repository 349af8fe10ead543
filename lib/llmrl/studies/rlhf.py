"""RLHF to its end: with a price on moving or without, with plain text mixed in or without, and what the rest comes to.

All runs start from one model that can do a bit of everything: `sft`, tuned again on every task and on the corpus. A
reward model per seed learns from 768 noisy votes about lands; then every arm chases it with PPO, all asked alike. What
is followed: the reward model's score, the nats moved and the price at every step; at three points the gold reward of
answers to fresh questions; at the end the loss on text that nobody mixed in, and the twelve other tasks.
Left out: a search for each arm's best settings, a reward model that is trained again on what the policy says now.
"""

import copy
import json
import time
from dataclasses import replace
from functools import cache, partial
from statistics import mean, stdev

import torch
from safetensors.torch import load_file, save

from llmrl import seeds
from llmrl.lm.training import Plan, mean_loss, next_token_loss, sample_batches, text_batches
from llmrl.lm.training import train as train_on_text
from llmrl.policy.group import GroupPlan
from llmrl.policy.token_critic import CriticPlan
from llmrl.preference import train as preference
from llmrl.rlhf import reward_model
from llmrl.rlhf.open_questions import judged_by
from llmrl.rlhf.ppo_language import TOKENS, Leash, PPOPlan, critic_of, train
from llmrl.storage import write_whole
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, preferences, tasks, telling
from llmrl.toy.make import SEED
from llmrl.tuning import sft
from llmrl.tuning.exam import by_task, correct, told

SEEDS, ASKED, ITEMS, POINTS = 3, 96, 240, 3
LABELS = preferences.Labels(temperature=0.5)
START, JUDGE = Plan(steps=180, lr=2e-3, warmup=5), Plan(steps=48, lr=1e-3, warmup=5)
SAMPLE = GroupPlan(steps=36, prompts=32, answers=1, max_new=72, lr=5e-4, surrogate=TOKENS, pieces=3)
PLAN = PPOPlan(SAMPLE, CriticPlan(lam=1.0), Leash(beta=0.1, target=4.0, gain=0.5, unfinished=1.0))
FREE = replace(PLAN, leash=Leash(beta=0.0, unfinished=1.0))
WINDOWS, LENGTH, HELD_OUT = 6, 96, 0.1  # of the corpus: mixed in per step; its last tenth is for measuring only
ARMS = {
    "target 4": PLAN,
    "no price": FREE,
    "target 4, text": replace(PLAN, mix=0.3),
    "no price, text": replace(FREE, mix=0.3),
}
SHIPPED = ("no price", "no price, text")  # whose weights are shipped, those of the first seed


@cache
def corpus():
    """The corpus as ids: what may be mixed in, and what is kept for measuring.  -> two tensors"""
    ids = torch.tensor(checkpoints.tokenizer().encode_documents(files.read_text("corpus.txt")))
    at = int(len(ids) * (1 - HELD_OUT))
    return ids[:at], ids[at:]


def reading(seed):
    """The `mixed` of a training: the next-token loss on windows of the corpus, others at every step."""
    windows = text_batches(corpus()[0], WINDOWS, LENGTH, lambda step: seeds.rng(SEED, "mixed in", seed, step))
    return lambda model, step: next_token_loss(model, *windows(step))


def refreshed(model):
    """Tune `sft` on every task and on plain text alike, which it had forgotten."""
    items = tasks.items(tasks.MAKERS, 2000, f"{SEED} rlhf start")
    text, steps = reading("start"), iter(range(START.steps))
    talks = [item.messages() for item in items] + [item.messages(steps=True) for item in items if item.steps]
    talks += telling.conversations(500, f"{SEED} rlhf start")
    drawn = sample_batches(sft.samples(talks), 24, lambda step: seeds.rng(SEED, "rlhf start", step))
    both = lambda model, ids, mask: sft.learned_loss(model, ids, mask) + text(model, next(steps))  # noqa: E731
    for _ in train_on_text(model, drawn, START, loss=both):
        pass
    return model


@cache
def start(path):
    """The model that all runs start from, trained once."""
    if not path.exists():
        write_whole(path, save(refreshed(checkpoints.load("sft")).state_dict()))
    model = checkpoints.load("sft")
    model.load_state_dict(load_file(path))
    return model


def votes(seed, n, label="", labels=LABELS):
    """Labelled pairs about lands, rendered."""
    return [(a[0], b[0]) for a, b in preference.rendered(preferences.pairs(n, f"{SEED} rlhf {seed}{label}", labels))]


@cache
def judge_of(model, seed):
    """The reward model of a seed."""
    judge = reward_model.RewardModel(model)
    for _ in reward_model.train(judge, votes(seed, 768), JUDGE, 16, seed):
        pass
    return judge


def gold(model, seed):
    """Gold reward of answers to fresh questions, its error, their words."""
    _, said, found = told(model, f"{SEED} rlhf {seed}", ASKED, SAMPLE.max_new)
    return {"gold": mean(found), "error": stdev(found) / ASKED**0.5, "words": mean(len(s.split()) for s in said)}


def unread(n=64):
    """Windows of the corpus that nobody mixed in, spread over its last tenth.  -> (n, LENGTH)"""
    ids = corpus()[1]
    return ids[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)[:: len(ids) // LENGTH // n][:n]


def kept_abilities(model):
    """The loss on text that was never mixed in, and the share of right answers task by task."""
    items = tasks.items(tasks.MAKERS, ITEMS, f"{SEED} rlhf tasks")
    return {"text": mean_loss(model, unread()), "tasks": by_task(items, correct(model, items))}


def run(plan, begin, seed, kept_as=None):
    """One arm: the dials of every step, the gold reward at three points, what is left of the rest."""
    since, model, judge = time.process_time(), copy.deepcopy(begin), judge_of(begin, seed)
    ask, mixed = judged_by(judge, plan.sample.prompts, f"{SEED} rlhf asked {seed}"), reading(seed) if plan.mix else None
    records, points = [], []
    for record in train(model, critic_of(judge), begin, ask, plan, seed, mixed):
        records.append({name: value for name, value in record.items() if name != "answers"})
        if (record["step"] + 1) * POINTS % plan.sample.steps == 0:
            points.append({"step": record["step"] + 1} | gold(model, seed))
    if kept_as:
        write_whole(kept_as, save({name: weight.half() for name, weight in model.state_dict().items()}))
    seconds = time.process_time() - since
    return {"records": records, "points": points, "kept": kept_abilities(model), "seconds": seconds}


def beginning(begin, seed):
    """Where all arms of a seed start, and how good its reward model is on fresh pairs without noise."""
    judge, fresh = judge_of(begin, seed), votes(seed, 256, " test", preferences.Labels())
    better, worse = (judge.score([pair[side] for pair in fresh]) for side in (0, 1))
    return gold(begin, seed) | {"agreement": (better > worse).float().mean().item()}


def make(kept):
    """studies/rlhf.json: where each seed starts; arm -> one run per seed.  studies/rlhf.*.safetensors: two ends"""
    begin = start(kept.file("start.safetensors"))
    found = {"kept": {name: kept(name, partial(kept_abilities, model)) for name, model in
                      (("base", checkpoints.load("base")), ("sft", checkpoints.load("sft")), ("start", begin))},
             "start": [], "runs": {name: [] for name in ARMS}}  # fmt: skip
    for seed in range(SEEDS):
        found["start"].append(kept(f"start, seed {seed}", partial(beginning, begin, seed)))
        for name, plan in ARMS.items():
            path = kept.file(f"{name}.safetensors") if name in SHIPPED and seed == 0 else None
            found["runs"][name].append(kept(f"{name}, seed {seed}", partial(run, plan, begin, seed, path)))
    files.ship("studies/rlhf.json", json.dumps(rounded(found)) + "\n")
    for name in SHIPPED:
        files.ship(f"studies/rlhf.{name.replace(', ', '.').replace(' ', '_')}.safetensors",
                   kept.file(f"{name}.safetensors").read_bytes())  # fmt: skip
