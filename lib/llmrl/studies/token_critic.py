"""PPO with a critic and GRPO without one on the same sums; how much noise a gradient has, by the size of its groups.

The reasoning base learns three-digit addition. Per seed every method is asked the same prompts, 16 of them with 8
answers each. A method is an advantage (from the group, from the batch, from the critic with lambda 1 or 0.95) and what
an average lets weigh the same. Then, at the base itself, the gradient of a batch of 128 answers is computed again and
again: few answers to many prompts, or many answers to few.
Left out: a search for each method's best settings; a critic that was trained before the policy moves.
"""

import json
import time
from dataclasses import replace
from functools import partial

import torch

from llmrl import seeds
from llmrl.lm.logprobs import token_logp
from llmrl.policy import group, token_critic
from llmrl.policy.surrogate import GRPO, Surrogate, averaged, relative, surrogate
from llmrl.reasoning import verifiable
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, tasks
from llmrl.toy.make import SEED

SEEDS, PLAN = 3, group.GroupPlan(steps=30, prompts=16, answers=8, max_new=48, pieces=4)
TOKENS = Surrogate(average="token")
METHODS = {
    "GRPO": GRPO,
    "GRPO, every token alike": TOKENS,
    "mean of the batch": Surrogate(average="token", baseline="batch", scale="batch"),
    "PPO, lambda 1": token_critic.CriticPlan(lam=1.0),
    "PPO, lambda 0.95": token_critic.CriticPlan(lam=0.95),
}
SAMPLES, SIZES, REPEATS = 128, (2, 4, 8, 16, 32, 64), 20


def sums(seed, prompts):
    """The `ask` of policy.group.train: three-digit sums."""
    return verifiable.game(lambda step: tasks.items("add", prompts, f"{SEED} critic {seed} {step}", digits=3))


def run(how, seed):
    """One training: reward, length and what the critic knew at every step, the seconds of all."""
    model, ask, start = checkpoints.load("reasoning_base"), sums(seed, PLAN.prompts), time.process_time()
    if isinstance(how, Surrogate):
        steps = group.train(model, ask, replace(PLAN, surrogate=how), seed=seed)
    else:
        plan = replace(PLAN, surrogate=TOKENS)
        steps = token_critic.train(model, token_critic.Critic(model), ask, plan, how, seed)
    records = [{name: r[name] for name in ("reward", "length", "foreseen") if name in r} for r in steps]
    return {"records": records, "seconds": time.process_time() - start}


def gradient(model, answers, repeat):
    """The gradient of one batch of SAMPLES answers without bias, and the share of its groups that have a signal."""
    plan = group.GroupPlan(steps=1, prompts=SAMPLES // answers, answers=answers, max_new=PLAN.max_new)
    prompts, judge = sums(f"noise {answers}", plan.prompts)(repeat)
    ids, mask, logp, said = group.collect(model, prompts, plan, seeds.rng(SEED, "noise", answers, repeat))
    rewards, told = group.judged(judge, said, plan), mask[:, 1:]
    how = Surrogate(average="length", length=PLAN.max_new, baseline="leave_one_out", scale=None)
    objective = surrogate(token_logp(model(ids), ids), logp, relative(rewards, how).flatten(), told, how)
    found = torch.autograd.grad(averaged(objective, told, how), list(model.parameters()))
    return torch.cat([g.flatten() for g in found]), (rewards.std(1) > 0).float().mean().item()


def shared(products):
    """The squared length of what independent gradients have in common, from their inner products.  (R, R)

    Two of them share their mean and nothing else, so the product of two different ones has its squared length as mean.
    """
    return ((products.sum() - products.diagonal().sum()) / (len(products) * (len(products) - 1))).item()


def noise():
    """Group size -> a gradient's mean squared length, in units of the true gradient's; its error; mixed groups."""
    model, found, mixed = checkpoints.load("reasoning_base"), [], []
    for answers in SIZES:
        gradients, share = zip(*(gradient(model, answers, repeat) for repeat in range(REPEATS)))
        found, mixed = found + list(gradients), [*mixed, sum(share) / REPEATS]
    found = torch.stack(found)
    products = found @ found.T  # of all sizes: whatever the size, the mean is the true gradient
    own = products.diagonal().view(len(SIZES), REPEATS) / shared(products)
    return {
        str(answers): {"length": row.mean().item(), "error": row.std().item() / REPEATS**0.5, "mixed": share}
        for answers, row, share in zip(SIZES, own, mixed)
    }


def make(kept):
    """studies/token_critic.json: method -> one run per seed; group size -> inner products of gradients."""
    runs = {
        name: [kept(f"{name}, seed {s}", partial(run, how, s)) for s in range(SEEDS)] for name, how in METHODS.items()
    }
    found = {"runs": runs, "noise": kept("noise", noise)}
    files.ship("studies/token_critic.json", json.dumps(rounded(found)) + "\n")
