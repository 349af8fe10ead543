r"""DeepSeek-R1 in miniature: reinforcement from a base that was never told to think, and the pipeline built around it.

R1-Zero (DeepSeek-AI 2025, arXiv:2501.12948) is one stage: GRPO from the base, paid for right answers. R1 is four: a
cold start on a few written solutions, GRPO, supervised tuning of the base on answers of that model which a rule found
right, together with other tasks, and GRPO on everything. A stage is data: its name, the model it starts from, what it
does. One exam measures them all. Left out: the KL to a reference, rewards from a reward model, language consistency.

Shapes: P prompts, G answers each.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import mean

import torch

from llmrl import seeds
from llmrl.lm.generation import Sampling
from llmrl.lm.training import Plan
from llmrl.policy import group
from llmrl.policy.surrogate import Surrogate
from llmrl.preference.train import answer_logp
from llmrl.reasoning import verifiable
from llmrl.toy import checkpoints, tasks
from llmrl.toy.arithmetic import wrote_steps
from llmrl.tuning import chat, sft

TOKENS = Surrogate(average="token")  # every token weighs the same, as in DAPO and in TRL's default
ZERO = group.GroupPlan(steps=40, prompts=16, answers=8, max_new=48, pieces=4, surrogate=TOKENS)
OTHERS = ("fact", "polite", "refuse", "help")  # tasks the base was not tuned on
MIXED = ((2, 3), (3, 2))  # digits of both numbers; the base was tuned on numbers of one length
PAID = verifiable.total({verifiable.accuracy: 1.0, verifiable.form: 0.2})


def described(items, said):
    """The shares of answers that are right, that are well-formed, and that write a step.  said: P lists of G texts"""
    pairs = [(item, text) for item, texts in zip(items, said) for text in texts]
    return {
        "right": mean(verifiable.accuracy(item, text) for item, text in pairs),
        "formed": mean(verifiable.form(item, text) for item, text in pairs),
        "steps": mean(float(wrote_steps(text)) for _, text in pairs),
    }


def reinforce(model, items_at, reward=verifiable.accuracy, plan=ZERO, seed=0):
    """GRPO on items_at(step), in place; yields a record per step: reward, length, and what the answers were like."""
    tokenizer = checkpoints.tokenizer()
    for record in group.train(model, verifiable.game(items_at, reward, tokenizer, plan.max_new), plan, seed=seed):
        said = [[tokenizer.decode(answer) for answer in answers] for answers in record.pop("answers")]
        yield record | described(items_at(record["step"]), said)


def sampled(model, items, tries, seed, max_new=56):
    """tries answers to each item at temperature 1, as text.  -> P lists of tries texts"""
    prompts = [item.prompt for item in items for _ in range(tries)]
    said = sft.answers(model, prompts, max_new, Sampling(temperature=1.0), seeds.rng(seed, "sampled"))
    return [said[i : i + tries] for i in range(0, len(said), tries)]


def counts(model, items, tries, seed):
    """How many of so many answers to each item are right.  -> list (P,)"""
    said = sampled(model, items, tries, seed)
    return [int(sum(verifiable.accuracy(item, text) for text in texts)) for item, texts in zip(items, said)]


@torch.no_grad()
def solution_logp(model, items):
    """The log-probability of each item's written solution with its end, a floor for any right answer's.  -> (P,)"""
    return answer_logp(model, sft.samples([item.messages(unasked=True) for item in items]))


def accepted(items, said):
    """Rejection sampling: for each item with a right and well-formed answer a conversation with the first such."""
    good = ((item, [text for text in texts if verifiable.accuracy(item, text) and verifiable.form(item, text)])
            for item, texts in zip(items, said))  # fmt: skip
    return [chat.exchange(item.prompt, texts[0]) for item, texts in good if texts]


def exam(model, seed=0, n=96):
    """Held-out questions, one sampled answer each: right answers by kind, form and tokens of the sums."""
    three = verifiable.sums(n, (3, 3), f"{seed} exam", test=True)
    mixed = [item for digits in MIXED for item in verifiable.sums(n // 2, digits, f"{seed} exam", test=True)]
    others = tasks.items(OTHERS, n, f"{seed} exam", test=True)
    said = [sampled(model, items, 1, f"{seed} exam") for items in (three, mixed, others)]
    look, tokens = described(three, said[0]), checkpoints.tokenizer().encode
    return {
        "three digits": look["right"],
        "mixed lengths": described(mixed, said[1])["right"],
        "other tasks": described(others, said[2])["right"],
        "formed": look["formed"],
        "tokens": mean(float(len(tokens(texts[0]))) for texts in said[0]),
    }


@dataclass(frozen=True)
class Stage:
    """One stage: its name, the stage it starts from (None is the base), and teach(model, earlier models, seed)."""

    name: str
    start: str | None
    teach: Callable


@dataclass(frozen=True)
class Dials:
    """How much of everything the pipeline gets."""

    few: int = 96  # written solutions of the cold start
    cold: Plan = Plan(steps=24, lr=1e-3, warmup=4)
    reason: group.GroupPlan = replace(ZERO, steps=32)
    asked: int = 480  # sums that are sampled for the second tuning
    tries: int = 4
    general: int = 480  # conversations on other tasks
    tune: Plan = Plan(steps=160, lr=2e-3, warmup=10)
    last: group.GroupPlan = replace(ZERO, steps=16, lr=1e-4)


def every_kind(n, seed):
    """n sums, a third of them with numbers of three digits, the others with two and three."""
    kinds = ((3, 3), *MIXED)
    parts = [verifiable.sums(-(-n // 3), digits, seed) for digits in kinds]
    return [item for row in zip(*parts) for item in row][:n]


def written(n, seed):
    """Solutions by rule, as conversations."""
    return [item.messages(unasked=True) for item in every_kind(n, f"{seed} written")]


def general(n, seed):
    """Conversations on other tasks."""
    return [item.messages() for item in tasks.items(OTHERS, n, f"{seed} general")]


def pipeline(dials=Dials()):
    """The four stages of R1."""

    def cold(model, models, seed):
        return sft.tune(model, written(dials.few, seed), dials.cold, 16, seed)

    def reason(model, models, seed):
        asked = lambda step: every_kind(dials.reason.prompts, f"{seed} reason {step}")  # noqa: E731
        return reinforce(model, asked, PAID, dials.reason, seed)

    def tune(model, models, seed):
        items = every_kind(dials.asked, f"{seed} asked")
        chosen = accepted(items, sampled(models["RL"], items, dials.tries, seed))
        return sft.tune(model, chosen + general(dials.general, seed), dials.tune, 32, seed)

    def everything(model, models, seed):
        asked = lambda step: scenarios(dials.last.prompts, f"{seed} last {step}")  # noqa: E731
        return reinforce(model, asked, PAID, dials.last, seed)

    return (
        Stage("cold start", None, cold),
        Stage("RL", "cold start", reason),
        Stage("rejection sampling, SFT", None, tune),
        Stage("RL on everything", "rejection sampling, SFT", everything),
    )


def without_rl(dials=Dials()):
    """A control for the third stage: the same tuning, with the written solutions in place of the model's own."""

    def tune(model, models, seed):
        return sft.tune(model, written(dials.few, seed) + general(dials.general, seed), dials.tune, 32, seed)

    return (Stage("SFT without RL", None, tune),)


def scenarios(n, seed):
    """Half sums, half other tasks."""
    return every_kind(n // 2, seed) + tasks.items(OTHERS, n - n // 2, seed)


def run(stages, base, seed=0):
    """Yield after every stage its name, its records and its model; the base is left as it is."""
    models = {None: base}
    for stage in stages:
        if stage.start not in models:
            raise ValueError(f"{stage.name} starts from {stage.start!r}, which did not run before it: put it first")
        model = copy.deepcopy(models[stage.start])
        records = list(stage.teach(model, models, seed))
        models[stage.name] = model.eval()
        yield {"stage": stage.name, "records": records, "model": model}
