"""One preference set, two roads: a reward model and policy gradients, or DPO, with plain tuning on the chosen answers.

All start from the same tuned model and learn from the same 768 labelled pairs about lands; per seed the pairs, the
prompts and the dice are others. Recorded along the way are the gold reward of answers to fresh questions and how far
the policy moved, and for each model how many token positions it read and learned from.
Left out: a search for each road's best settings. Two strengths of the leash for each are a glimpse, not a contest.
"""

import copy
import json
import time
from dataclasses import asdict, replace
from functools import partial
from statistics import mean, stdev

from llmrl.lm.training import Plan
from llmrl.policy import group
from llmrl.preference import train as dpo
from llmrl.preference.passes import counted
from llmrl.rlhf import reward_model
from llmrl.rlhf.open_questions import judged_by
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, preferences
from llmrl.toy.make import SEED
from llmrl.tuning import chat, sft
from llmrl.tuning.exam import divergence, told

SEEDS, PAIRS, BATCH, ASKED, POINTS = 3, 768, 16, 192, 4
LABELS = preferences.Labels(temperature=0.5)  # Bradley-Terry's own noise: what both roads assume
ONE_PASS = Plan(steps=PAIRS // BATCH, lr=5e-4, warmup=5)
BETAS = (0.1, 0.5)
GROUP = group.GroupPlan(steps=40, prompts=8, answers=8, max_new=72, lr=5e-4)
WEIGHTS = (0.1, 0.5)  # of the KL to the reference, per token, beside advantages of size 1


def labelled(seed, n=PAIRS):
    """The preference set of one seed, as rows and rendered."""
    rows = preferences.pairs(n, f"{SEED} alignment {seed}", LABELS)
    return rows, dpo.rendered(rows)


def fit(judge, pairs, seed, plan=replace(ONE_PASS, lr=1e-3)):
    """Train a reward model on the pairs, one pass unless the plan says otherwise."""
    for _ in reward_model.train(judge, [(a[0], b[0]) for a, b in pairs], plan, BATCH, seed):
        pass


def asking(judge, plan, seed):
    """The `ask` of policy.group.train: fresh questions about lands, answers scored by a reward model."""
    return judged_by(judge, plan.prompts, f"{SEED} asked {seed}")


def measured(model, reference, seed):
    """Gold reward, its error, KL to the reference and length in words of answers to fresh questions."""
    prompts, said, gold = told(model, f"{SEED} {seed}", ASKED)
    kl = divergence(model, reference, prompts, said)
    words = mean(len(answer.split()) for answer in said)
    return {"gold": mean(gold), "error": stdev(gold) / ASKED**0.5, "kl": mean(kl), "words": words}


def followed(steps, total, model):
    """Run a training to its end; the weights at POINTS steps on the way.  -> [(step, weights)], seconds"""
    start, points = time.process_time(), []
    for taken, _ in enumerate(steps, 1):
        if taken * POINTS % total == 0:
            points.append((taken, {name: weight.clone() for name, weight in model.state_dict().items()}))
    return points, time.process_time() - start


def result(points, seconds, passes, seed, samples=0):
    """A run as the study keeps it: measured at each point, with what it took."""
    reference, model, found = checkpoints.load("sft"), checkpoints.load("sft"), []
    for step, weights in points:
        model.load_state_dict(weights)
        found.append({"step": step} | measured(model, reference, seed))
    counts = {name: asdict(count) for name, count in passes.items()}
    return {"points": found, "seconds": seconds, "samples": samples, "passes": counts}


def direct(seed, beta):
    """DPO on the pairs of one seed."""
    reference, pairs, start = checkpoints.load("sft"), labelled(seed)[1], time.process_time()
    model = copy.deepcopy(reference)
    with counted(policy=model, reference=reference) as passes:
        ref_logp = dpo.reference_logp(reference, pairs)
        before = time.process_time() - start
        steps = dpo.train(model, pairs, ref_logp, ONE_PASS, beta, BATCH, seed)
        points, seconds = followed(steps, ONE_PASS.steps, model)
    return result(points, before + seconds, passes, seed)


def by_reward(seed, beta):
    """RLHF on the pairs of one seed: a reward model first, then policy gradients against it, KL weighed by beta."""
    plan = replace(GROUP, beta=beta)
    reference, pairs, start = checkpoints.load("sft"), labelled(seed)[1], time.process_time()
    model, judge = copy.deepcopy(reference), reward_model.RewardModel(reference)
    with counted(policy=model, reference=reference, reward=judge) as passes:
        fit(judge, pairs, seed)
        before = time.process_time() - start
        steps = group.train(model, asking(judge, plan, seed), plan, reference, seed)
        points, seconds = followed(steps, plan.steps, model)
    found = result(points, before + seconds, passes, seed, plan.steps * plan.prompts * plan.answers)
    fresh = labelled(f"{seed} test", 256)[1]
    better = [judge.score([row[side][0] for row in fresh]) for side in (0, 1)]
    return found | {"agreement": (better[0] > better[1]).float().mean().item(), "judge_seconds": before}


def imitation(seed):
    """The control: tuned on the chosen answers alone, with the same number of draws."""
    talks = [chat.exchange(row["prompt"], row["chosen"]) for row in labelled(seed)[0]]
    model = checkpoints.load("sft")
    with counted(policy=model) as passes:
        points, seconds = followed(sft.tune(model, talks, ONE_PASS, BATCH, seed), ONE_PASS.steps, model)
    return result(points, seconds, passes, seed)


def make(kept):
    """studies/alignment.json: road -> one run per seed, and the start of each seed."""
    roads = {f"dpo {beta}": partial(direct, beta=beta) for beta in BETAS}
    roads |= {f"rlhf {beta}": partial(by_reward, beta=beta) for beta in WEIGHTS} | {"chosen": imitation}
    found = {name: [] for name in ("start", *roads)}
    reference = checkpoints.load("sft")
    for seed in range(SEEDS):
        found["start"].append(kept(f"start, seed {seed}", partial(measured, reference, reference, seed)))
        for name, road in roads.items():
            found[name].append(kept(f"{name}, seed {seed}", partial(road, seed)))
    files.ship("studies/alignment.json", json.dumps(rounded(found)) + "\n")
