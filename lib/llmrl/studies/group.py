"""GRPO and its relatives on one task, with one budget: the same sums, the same number of answers, two steps on each.

The reasoning base learns three-digit addition. Every method follows the one surrogate with its own arguments, and per
seed all are asked the same prompts. Two more runs are GRPO with one of DAPO's parts that lie outside the surrogate:
asking on until enough groups are mixed (the same number of steps, more answers), and a price on length. Two optimizer
steps per collection, because in the first all ratios are 1 and half of the methods are equal.
Left out: a search for each method's best settings. Nobody's learning rate was tuned.
"""

import json
import time
from dataclasses import replace
from functools import partial
from statistics import mean

import torch

from llmrl import seeds
from llmrl.lm.decoding import Sampling
from llmrl.policy import dapo, group
from llmrl.policy.relatives import CISPO, REINFORCE_PP, RLOO
from llmrl.policy.surrogate import DAPO, DR_GRPO, GRPO, GSPO
from llmrl.reasoning import verifiable
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, tasks
from llmrl.toy.arithmetic import wrote_steps
from llmrl.toy.make import SEED
from llmrl.tuning import sft

SEEDS, PLAN, TESTED = 3, group.GroupPlan(steps=24, prompts=8, answers=8, max_new=36, epochs=2), 192
BUFFER = 18  # of the 36 tokens an answer may have
RELATIVES = {
    "GRPO": GRPO,
    "Dr. GRPO": replace(DR_GRPO, length=PLAN.max_new),
    "DAPO's loss": DAPO,
    "GSPO": replace(GSPO, low=0.02, high=0.02),  # its paper's range fits learning rates a hundred times smaller
    "RLOO": RLOO,
    "REINFORCE++": REINFORCE_PP,
    "CISPO": CISPO,
}
PARTS = ("dynamic sampling", "overlong")


def watched(ask, log):
    """The same ask; log grows by a line per collection: what its answers earned and how long they were."""

    def asked(step):
        prompts, judge = ask(step)

        def judge_aloud(said):
            rewards = torch.tensor(judge(said))
            lengths = torch.tensor([[float(len(answer)) for answer in answers] for answers in said])
            wrong = rewards == 0
            log.append(
                {
                    "right": rewards.mean().item(),
                    "mixed": dapo.mixed(rewards).float().mean().item(),
                    "length": lengths.mean().item(),
                    "wrong_length": lengths[wrong].mean().item() if wrong.any() else None,
                }
            )
            return rewards

        return prompts, judge_aloud

    return asked


def measured(model, seed):
    """Held-out sums at temperature 1: how many are right, written with steps, and how long."""
    test, tokens = tasks.items("add", TESTED, f"{SEED} family test", test=True, digits=3), checkpoints.tokenizer()
    dice = seeds.rng(SEED, "family test", seed)
    said = sft.answers(model, [item.prompt for item in test], PLAN.max_new, Sampling(temperature=1.0), dice)
    return {
        "right": mean(float(tasks.verify(item, answer)) for item, answer in zip(test, said)),
        "steps": mean(float(wrote_steps(answer)) for answer in said),
        "length": mean(float(len(tokens.encode(answer))) for answer in said),
    }


def run(name, seed):
    """One training.  -> a line per collection, its seconds, and what the model can do in the end"""
    model, log, start = checkpoints.load("reasoning_base"), [], time.process_time()
    prompts = partial(tasks.items, "add", PLAN.prompts, digits=3)
    ask = watched(verifiable.game(lambda step: prompts(f"{SEED} family {seed} {step}")), log)
    ask = dapo.shaped(ask, PLAN.max_new, BUFFER) if name == "overlong" else ask
    gather = dapo.gather if name == "dynamic sampling" else group.gather
    plan = replace(PLAN, surrogate=RELATIVES.get(name, GRPO))
    for _ in group.train(model, ask, plan, seed=seed, gather=gather):
        pass
    seconds = time.process_time() - start
    return {"log": log, "seconds": seconds, "end": measured(model, seed)}


def make(kept):
    """studies/group.json: method -> one run per seed, and the base itself."""
    found = {name: [] for name in (*RELATIVES, *PARTS)}
    base = [kept(f"base, seed {s}", partial(measured, checkpoints.load("reasoning_base"), s)) for s in range(SEEDS)]
    for seed in range(SEEDS):
        for name in found:
            found[name].append(kept(f"{name}, seed {seed}", partial(run, name, seed)))
    files.ship("studies/group.json", json.dumps(rounded({"base": base, "runs": found})) + "\n")
