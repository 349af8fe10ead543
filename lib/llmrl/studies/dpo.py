r"""What DPO does to a small model, and what holds it back: beta, the learning rate, the coefficient, three cures.

Every run starts from the tuned model and takes 40 steps of 16 pairs. The crowd's pairs differ in nearly every word,
minimal pairs in one. Measured before and after: gold reward, KL and length of answers to fresh questions, log-ratios of
pairs that were learned and of pairs that were not, and a panel of the other tasks. Seeds change the pairs and the
order in which they are drawn. The dials of the cures are one guess each, after their papers where those name one: what
a search would give is left out.
"""

import copy
import json
from dataclasses import dataclass
from functools import partial
from statistics import mean, stdev

from llmrl.lm.training import Plan
from llmrl.preference import cures, methods
from llmrl.preference import train as dpo
from llmrl.preference.losses import reward_margin
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, preferences, tasks
from llmrl.toy.make import SEED
from llmrl.toy.minimal_pairs import minimal_pairs
from llmrl.tuning.exam import by_task, correct, divergence, told

SEEDS, PAIRS, TESTED, ASKED, ITEMS = 3, 512, 96, 128, 240
STEPS, RATE, BETA = 40, 5e-4, 0.1
BETAS = (0.1, 0.5, 2.0, 10.0, 50.0)
SOURCES = {"crowd": preferences.pairs, "minimal": minimal_pairs}


def even(beta):
    """DPO with every pair's coefficient held at one half: the margin itself is made large, without an end."""
    return lambda b: -reward_margin(*b.logp(0, 1), *b.ref_logp(0, 1), beta) / 2


def rpo(beta, alpha=1.0):
    """DPO and supervised tuning on the chosen answer."""
    return lambda b: cures.rpo(*b.logp(0, 1), *b.ref_logp(0, 1), *b.length(0), beta, alpha)


def dpop(beta, lam=5.0):
    """DPO in which a fall of the chosen answer costs extra."""
    return lambda b: cures.dpop(*b.logp(0, 1), *b.ref_logp(0, 1), beta, lam)


def per_token(beta=5.0):
    """DPO on log-ratios per token."""

    def loss(b):
        ratios = [logp - ref for logp, ref in zip(b.logp(0, 1), b.ref_logp(0, 1))]
        return cures.per_token(*ratios, *b.length(0, 1), beta)

    return loss


CURES = {"DPO": methods.dpo(BETA), "DPO + SFT": rpo(BETA), "DPOP": dpop(BETA), "per token": per_token()}


@dataclass(frozen=True)
class Run:
    """A loss, the pairs it learns from, the highest learning rate, and the steps after which answers are measured."""

    loss: object
    source: str = "crowd"
    rate: float = RATE
    points: tuple = (STEPS,)


RUNS = {f"beta {beta:g}": Run(methods.dpo(beta)) for beta in BETAS}
RUNS["beta 0.1"] = Run(methods.dpo(BETA), points=(10, 20, STEPS))
RUNS |= {"beta 0.1, slow": Run(methods.dpo(BETA), rate=RATE / 4), "even": Run(even(BETA), points=(10, 20, STEPS))}
RUNS |= {f"{name}, minimal": Run(loss, "minimal") for name, loss in CURES.items()}
RUNS |= {f"{name}, crowd": Run(loss) for name, loss in CURES.items() if name != "DPO"}  # DPO is beta 0.1
RUNS["beta 2, minimal"] = Run(methods.dpo(2.0), "minimal")  # controls: no cures, but shorter leashes
RUNS["slow, minimal"] = Run(methods.dpo(BETA), "minimal", RATE / 4)


def learned(source, seed, n=PAIRS):
    """Rendered pairs of a source, and the frozen reference's log-probabilities."""
    pairs = dpo.rendered(SOURCES[source](n, f"{SEED} dpo {seed}"))
    return pairs, dpo.reference_logp(checkpoints.load("sft"), pairs)


def answers(model, reference, seed):
    """Gold reward and its error, its parts, KL and length of answers to fresh questions."""
    prompts, said, gold = told(model, f"{SEED} {seed}", ASKED)
    parts = [preferences.parts(p, a) for p, a in zip(prompts, said)]
    return {
        "gold": mean(gold), "error": stdev(gold) / ASKED**0.5, "kl": mean(divergence(model, reference, prompts, said)),
        "words": mean(len(a.split()) for a in said), **{name: mean(p[name] for p in parts) for name in parts[0]},
    }  # fmt: skip


def shift(model, pairs, ref_logp):
    """How far both sides of pairs moved, and how often the right way apart, and how often chosen fell."""
    ratio = dpo.reference_logp(model, pairs) - ref_logp
    chosen, rejected = ratio.unbind(1)
    apart, fell = (chosen > rejected).float().mean().item(), (chosen < 0).float().mean().item()
    return {"chosen": chosen.mean().item(), "rejected": rejected.mean().item(), "accuracy": apart, "fell": fell}


def panel(model):
    """The share of held-out items that are right, task by task."""
    items = tasks.items(tasks.MAKERS, ITEMS, f"{SEED} dpo panel", test=True)
    return by_task(items, correct(model, items))


def one(run, seed):
    """A run of one seed: answers at its points, shifts of pairs it learned and of pairs it did not, the panel."""
    reference = checkpoints.load("sft")
    pairs, ref_logp = learned(run.source, seed)
    model, found = copy.deepcopy(reference), []
    plan = Plan(STEPS, run.rate, warmup=5)
    for record in dpo.fit(model, pairs, run.loss, ref_logp, plan, seed=seed):
        if record["step"] + 1 in run.points:
            found.append({"step": record["step"] + 1} | answers(model, reference, seed))
    fresh = learned(run.source, f"{seed} test", TESTED)
    known = pairs[:TESTED], ref_logp[:TESTED]
    return {"points": found, "learned": shift(model, *known), "fresh": shift(model, *fresh), "panel": panel(model)}


def make(kept):
    """studies/dpo.json: run -> one result per seed, and the start of each seed."""
    reference = checkpoints.load("sft")
    found = {"start": [kept(f"start, seed {s}", partial(answers, reference, reference, s)) for s in range(SEEDS)]}
    found["start panel"] = kept("start panel", partial(panel, reference))
    for seed in range(SEEDS):
        for name, run in RUNS.items():
            found.setdefault(name, []).append(kept(f"{name}, seed {seed}", partial(one, run, seed)))
    files.ship("studies/dpo.json", json.dumps(rounded(found)) + "\n")
