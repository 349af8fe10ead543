"""Reward models of several sizes on several numbers of pairs, and ones that learned a planted liking, with remedies.

Every model is `sft`, whole or its lower layers, with a head. Scaling: one, two or four layers, 64 to 2,048 pairs with
the noise of temperature 0.5, two seeds. Likings: two layers, 1,024 pairs whose labels like words or small talk, three
seeds, each remedy on the same pairs; and judges that read both answers, taught by annotators who like the first place,
which start from the shipped reward model's lower layers, because from `sft` they learn the place and nothing else.
All are asked about fresh pairs without noise and about matched answers.
Left out: models pre-trained at each size. A lower half of a model is not a model of half the size.
"""

import json
from dataclasses import replace
from functools import partial
from itertools import product

import torch

from llmrl import seeds
from llmrl.lm.training import Plan
from llmrl.lm.training import train as fit
from llmrl.preference.train import rendered
from llmrl.rlhf import length_control, pairwise_judge, planted, reward_model
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, preferences
from llmrl.toy.make import SEED
from llmrl.tuning import chat

LAYERS, STEPS = (1, 2, 4), {64: 48, 256: 48, 1024: 64, 2048: 128}  # pairs: steps of 16
PLAN, PAIRS, SEEDS = Plan(steps=64, lr=1e-3, warmup=5), 1024, 3
ASKED = ("small talk", "third fact", "polite opening", "false fact")
PULL = 1.5  # what the first place is worth to the judge's annotators, in logits


def pairs(rows):
    """Rows as pairs of ids."""
    return [(chosen[0], rejected[0]) for chosen, rejected in rendered(rows)]


def ids(rows, side):
    return [chat.render(chat.exchange(row["prompt"], row[side]))[0] for row in rows]


def measured(score, seed, taken_off=0.0):
    """How often the better of fresh pairs wins, and the changed of matched ones; so much is taken off per word."""

    def asked(rows, better, worse):
        words = torch.tensor([len(row[better].split()) - len(row[worse].split()) for row in rows])
        return score(ids(rows, better)) - score(ids(rows, worse)) - taken_off * words

    fresh = preferences.pairs(512, f"{SEED} fresh {seed}")
    found = {"right": (asked(fresh, "chosen", "rejected") > 0).float().mean().item()}
    for change in ASKED:
        gap = asked(planted.matched(128, change, f"{SEED} {seed}"), "changed", "plain")
        found[change] = {"wins": (gap > 0).float().mean().item(), "gap": gap.mean().item()}
    return found


def fitted(rows, seed, layers=2, plan=PLAN):
    """A reward model on the lower layers of sft, trained on rows."""
    model = reward_model.RewardModel(reward_model.lower(checkpoints.load("sft"), layers))
    for _ in reward_model.train(model, pairs(rows), plan, 16, f"{SEED} {seed}"):
        pass
    return model


def sized(layers, n, seed):
    """One point of the scaling figure: accuracy on fresh pairs and what matched answers show."""
    rows = planted.labelled(n, f"{SEED} scaling {seed}")
    return measured(fitted(rows, seed, layers, replace(PLAN, steps=STEPS[n])).score, seed)


def line_taken_off(score, seed):
    """The slope of score on words, over fresh answers of one side each."""
    rows = preferences.pairs(256, f"{SEED} line {seed}")
    words = torch.tensor([len(row[side].split()) for row in rows for side in ("chosen", "rejected")])
    scores = torch.stack([score(ids(rows, side)) for side in ("chosen", "rejected")], 1).flatten()
    return length_control.slope(scores, words).item()


def two_heads(rows, seed):
    """ODIN's two heads on the same pairs; what is asked is the quality head."""
    model = length_control.TwoHeads(reward_model.lower(checkpoints.load("sft"), 2), seed)
    draw = reward_model.pair_batches(pairs(rows), 16, lambda step: seeds.rng(SEED, "two heads", seed, step))
    for _ in fit(model, draw, PLAN, loss=length_control.disentangled_loss):
        pass
    return model


def likings(seed):
    """arm -> what was measured, for one seed; remedies learn from the pairs of the liking they are against."""
    plain, words, talk = (planted.labelled(PAIRS, f"{SEED} {seed}", liking)
                          for liking in (None, planted.likes_words, planted.likes_chatter))  # fmt: skip
    told = [{"prompt": row["prompt"], "chosen": row["plain"], "rejected": row["changed"]}
            for row in planted.matched(PAIRS // 8, "small talk", f"{SEED} shown {seed}")]  # fmt: skip
    liked = fitted(words, seed)
    line = line_taken_off(liked.score, seed)
    arms = {
        "none": partial(measured, fitted(plain, seed).score),
        "words": partial(measured, liked.score),
        "words, line taken off": partial(measured, liked.score, taken_off=line),
        "words, balanced pairs": partial(measured, fitted(length_control.balanced(words), seed).score),
        "words, like lengths": partial(measured, fitted(length_control.filtered(words), seed).score),
        "words, two heads": partial(measured, two_heads(words, seed).score),
        "small talk": partial(measured, fitted(talk, seed).score),
        "small talk, counterexamples": partial(measured, fitted(talk + told, seed).score),
    }
    return {name: ask(seed=seed) for name, ask in arms.items()}


def judges(seed):
    """arm -> pull of the first place, consistency, and how often the better answer wins, asked once and twice."""
    fair, pulled = (pairwise_judge.shown(2 * PAIRS, f"{SEED} {seed}", place) for place in (0.0, PULL))
    fresh = pairwise_judge.shown(256, f"{SEED} fresh {seed}")
    fresh = [row for row in fresh if row["gap"] and len(pairwise_judge.comparison(row)) <= 256]
    better, found = torch.tensor([row["gap"] > 0 for row in fresh]), {}
    taught = {"fair": fair, "first": pulled, "first, swapped": pulled + pairwise_judge.swapped(pulled)}
    for name, rows in taught.items():
        judge = reward_model.RewardModel(reward_model.lower(reward_model.shipped().lm, 2))
        for _ in pairwise_judge.train(judge, rows, replace(PLAN, steps=128), 16, f"{SEED} {seed}"):
            pass
        once, other = pairwise_judge.both_orders(judge, fresh)
        found[name] = {
            "pull": pairwise_judge.place_pull(once, other).item(),
            "consistent": pairwise_judge.consistency(once, other).item(),
            "first wins": torch.cat([once > 0, other < 0]).float().mean().item(),
            "right": ((once > 0) == better).float().mean().item(),
            "right, averaged": ((once + other > 0) == better).float().mean().item(),
        }
    return found


def make(kept):
    """studies/reward.json: the scaling points, and per seed every liking and every judge."""
    biased = [kept(f"likings, seed {seed}", partial(likings, seed)) for seed in range(SEEDS)]
    judged = [kept(f"judges, seed {seed}", partial(judges, seed)) for seed in range(SEEDS)]
    points = []
    for seed, layers, n in product(range(2), LAYERS, STEPS):
        found = kept(f"{layers} layers, {n} pairs, seed {seed}", partial(sized, layers, n, seed))
        points.append({"layers": layers, "pairs": n, "seed": seed} | found)
    result = {"scaling": points, "likings": biased, "judges": judged, "pull": PULL}
    files.ship("studies/reward.json", json.dumps(rounded(result)) + "\n")
