"""Ten ways to learn from the same pairs: one benchmark with a known gold reward and up to 40 percent wrong labels.

Every run starts from the sft checkpoint, sees 256 pairs of the crowd's answers in the same number of steps, and is
measured by what it says to 256 prompts: gold reward, wins against the sft model prompt by prompt, exact KL, words.
A method's dial and learning rate come from five tries each, on clean labels of a data set of their own: two dials at
two rates (SFT, which has no dial: four rates), then the best of them beyond its rate. Of those within one standard
error of the best, the one that moved least is taken. cDPO and robust DPO keep DPO's, with which they are the same loss
on clean labels, and are told the true share of flips. The flips are nested: a pair that is wrong at 10 percent is wrong
at 20. Beside the benchmark: the dials tried again at 40 percent, four times as many pairs, labels that like length,
dislike it, or are a coin's, and six more seeds of DPO.
Left out: batches of other sizes, more than five tries, a judge other than the gold reward.
"""

import copy
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from itertools import product
from statistics import mean, stdev

from llmrl.lm.training import Plan
from llmrl.preference import methods
from llmrl.preference.contest import win_rate
from llmrl.preference.reference import Moving
from llmrl.preference.train import fit, reference_logp, rendered, unpaired
from llmrl.toy import checkpoints, files, preferences
from llmrl.toy.make import SEED
from llmrl.tuning.exam import divergence, told

PAIRS, STEPS, BATCH, SEEDS = 256, 40, 12, 3
ASKED, COMPARED, RANKED = 256, 64, 96  # prompts that are answered, answers whose KL is taken, pairs that are ranked
NOISE = (0.0, 0.1, 0.2, 0.3, 0.4)
SOME = (0.0, 0.2, 0.4)  # for methods that say nothing about noise
RATES = (4e-4, 8e-4)
LENGTH = {"likes length": preferences.Labels(length_bias=0.1), "dislikes length": preferences.Labels(length_bias=-0.1),
          "a coin": preferences.Labels(noise=0.5)}  # fmt: skip


@dataclass(frozen=True)
class Method:
    """A row of the table: its loss from (dial, flip, good), the dials to try, and what it is compared with."""

    loss: Callable
    dials: tuple = (None,)
    rates: tuple = RATES
    reference: str = "frozen"  # or "none", or "moving": then the dial is (beta, alpha, every)
    noise: tuple = SOME


METHODS = {
    "SFT": Method(lambda dial, flip, good: methods.sft(), rates=(2e-4, 4e-4, 8e-4, 1.6e-3), reference="none"),
    "DPO": Method(lambda dial, flip, good: methods.dpo(dial), (0.2, 0.6), noise=NOISE),
    "cDPO": Method(lambda dial, flip, good: methods.cdpo(dial, flip), noise=NOISE[1:]),
    "robust DPO": Method(lambda dial, flip, good: methods.robust_dpo(dial, flip), noise=NOISE[1:]),
    "IPO": Method(lambda dial, flip, good: methods.ipo(dial), (0.05, 0.15), noise=NOISE),
    "KTO": Method(lambda dial, flip, good: methods.kto(dial, good), (0.2, 0.6)),
    "TR-DPO": Method(
        lambda dial, flip, good: methods.dpo(dial[0]), ((0.4, 0.03, 1), (0.4, 1.0, 10)), reference="moving"
    ),
    "ORPO": Method(lambda dial, flip, good: methods.orpo(dial), (0.5, 2.0), reference="none"),
    "SimPO": Method(lambda dial, flip, good: methods.simpo(*dial), ((2.0, 0.5), (8.0, 2.0)), reference="none"),
    "RRHF": Method(lambda dial, flip, good: methods.rrhf(dial), (1.0, 30.0), reference="none"),
}


@cache
def start():
    """The model every run starts from, which is also the reference."""
    return checkpoints.load("sft")


def labelled(labels, seed, n=PAIRS):
    """The n preference rows of a seed: the same answers for every kind of labels."""
    return preferences.pairs(n, f"{SEED} preferences {seed}", labels)


@lru_cache(2)
def data(labels, seed, n=PAIRS):
    """n labelled pairs, rendered; the reference's log-probabilities; whether gold agrees with each label (or None)."""
    pairs = labelled(labels, seed, n)
    gaps = [pair["gold_chosen"] - pair["gold_rejected"] for pair in pairs]
    rows = rendered(pairs)
    return rows, reference_logp(start(), rows), [gap > 0 if gap else None for gap in gaps]


@cache
def before(seed):
    """What the sft model says to the prompts of a seed: the gold rewards, and words per answer."""
    _, said, golds = told(start(), f"{SEED} preferences {seed}", ASKED)
    return golds, mean(len(answer.split()) for answer in said)


def trained(name, dial, lr, labels, seed, n=PAIRS):
    """One run -> the model, its records, and the seconds one core took."""
    rows, ref_logp, _ = data(labels, seed, n)
    method, good, batch = METHODS[name], None, BATCH
    reference = ref_logp if method.reference == "frozen" else None
    if method.reference == "moving":
        reference = Moving(start(), *dial[1:])
    if name == "KTO":
        rows, good = unpaired(rows)
        reference, batch = reference_logp(start(), rows), 2 * BATCH
    model = copy.deepcopy(start())
    loss, began = method.loss(dial, labels.noise, good), time.process_time()
    records = list(fit(model, rows, loss, reference, Plan(steps=STEPS, lr=lr, warmup=5), batch, f"{SEED} {seed}"))
    return model, records, time.process_time() - began


def ranked_as_labelled(model, labels, seed, n):
    """The share of training pairs that a model ranks as labelled, over the reference: right labels, wrong labels."""
    rows, ref_logp, right = (part[:RANKED] for part in data(labels, seed, n))
    moved = reference_logp(model, rows) - ref_logp
    agrees = (moved[:, 0] > moved[:, 1]).tolist()
    return [round(mean(a for a, r in zip(agrees, right) if r is kind), 4) for kind in (True, False)]


def run(name, dial, lr, labels, seed, n=PAIRS):
    """Train and measure -> a flat dictionary of numbers."""
    model, records, seconds = trained(name, dial, lr, labels, seed, n)
    prompts, said, golds = told(model, f"{SEED} preferences {seed}", ASKED)
    found = {"gold": mean(golds), "error": stdev(golds) / ASKED**0.5, "win": win_rate(golds, before(seed)[0])[0],
             "kl": mean(divergence(model, start(), prompts[:COMPARED], said[:COMPARED])),
             "words": mean(len(answer.split()) for answer in said), "seconds": seconds,
             "trained": sum(r["trained"] for r in records), "watched": sum(r["watched"] for r in records)}  # fmt: skip
    if METHODS[name].reference == "frozen" and name != "KTO" and 0 < labels.noise < 0.5:
        found["right"], found["wrong"] = ranked_as_labelled(model, labels, seed, n)
    return {key: round(value, 4) for key, value in found.items()}


def tries(kept):
    """Five settings of every method on clean labels of their own seed -> {method: [{"dial", "rate", ...}, ...]}"""
    found = {}

    def attempt(name, dial, lr):
        part = partial(run, name, dial, lr, preferences.Labels(), "tuning")
        row = {"dial": dial, "rate": lr} | kept(f"try {name} {dial} {lr:g}", part)
        found.setdefault(name, []).append(row)

    for name, method in METHODS.items():
        if name not in ("cDPO", "robust DPO"):
            for dial, lr in product(method.dials, method.rates):
                attempt(name, dial, lr)
            top = max(found[name], key=lambda row: row["gold"])
            beyond = 2.0 if top["rate"] == max(method.rates) else 0.5
            attempt(name, top["dial"], beyond * top["rate"])
    return found


def best_of(tried):
    """Of the tries within one standard error of the best, the one with the least KL -> {method: (dial, rate)}"""
    best = {}
    for name, rows in tried.items():
        top = max(rows, key=lambda row: row["gold"])
        alike = [row for row in rows if row["gold"] > top["gold"] - top["error"]]
        least = min(alike, key=lambda row: row["kl"])
        best[name] = (least["dial"], least["rate"])
    return best | {"cDPO": best["DPO"], "robust DPO": best["DPO"]}


def benchmark(kept, best):
    """Every method at its noise levels, all seeds -> rows."""
    rows = []
    for noise in NOISE:
        for seed in range(SEEDS):
            for name, method in METHODS.items():
                if noise in method.noise:
                    part = partial(run, name, *best[name], preferences.Labels(noise=noise), seed)
                    key = f"{name} {best[name]}, noise {noise:g}, seed {seed}"
                    rows.append({"method": name, "noise": noise, "seed": seed} | kept(key, part))
    return rows


def dials_again(kept, best):
    """At 40 percent, on the tuning seed: a third of the dial, the dial, three times the dial."""
    rows = []
    for name in ("DPO", "cDPO", "robust DPO", "IPO"):
        for factor in (1 / 3, 1.0, 3.0):
            dial, lr = best[name]
            part = partial(run, name, dial * factor, lr, preferences.Labels(noise=0.4), "tuning")
            rows.append({"method": name, "dial": round(dial * factor, 4)} | kept(f"again {name} {factor:.2f}", part))
    return rows


def more_pairs(kept, best):
    """At 40 percent, four times the pairs in the same steps: hardly a pair is seen twice."""
    rows = []
    for seed in range(SEEDS):
        for name in ("DPO", "robust DPO"):
            part = partial(run, name, *best[name], preferences.Labels(noise=0.4), seed, 4 * PAIRS)
            rows.append({"method": name, "seed": seed} | kept(f"more pairs {name} {seed}", part))
    return rows


def more_seeds(kept, best):
    """DPO on clean labels, six seeds more: how far apart runs can be."""
    rows = []
    for seed in range(SEEDS, SEEDS + 6):
        part = partial(run, "DPO", *best["DPO"], preferences.Labels(), seed)
        rows.append({"method": "DPO", "seed": seed} | kept(f"more seeds {seed}", part))
    return rows


def lengths(kept, best):
    """DPO and SimPO on labels that like length, dislike it, or are a coin's -> rows."""
    rows = []
    for kind, labels in LENGTH.items():
        for seed in range(SEEDS):
            for name in ("DPO", "SimPO"):
                part = partial(run, name, *best[name], labels, seed)
                rows.append({"method": name, "labels": kind, "seed": seed} | kept(f"{kind}, {name}, {seed}", part))
    return rows


def make(kept):
    """Tune, then measure, and ship all of it."""
    tried = tries(kept)
    best = best_of(tried)
    found = {"tries": tried, "best": best, "runs": benchmark(kept, best), "lengths": lengths(kept, best),
             "again": dials_again(kept, best), "more": more_pairs(kept, best)}  # fmt: skip
    found["seeds"] = more_seeds(kept, best)
    found["before"] = [{"gold": round(mean(g), 4), "words": round(w, 4)} for g, w in map(before, range(SEEDS))]
    files.ship("studies/preferences.json", json.dumps(found, indent=1) + "\n")
