"""Can the toy world carry the course? The smallest honest version of each effect, with its size and its error.

Every effect runs in under 90 seconds on one core, from the shipped checkpoints, and is measured on held-out questions;
a row says what was compared, the difference and its standard error over questions, seed by seed. `make effects` writes
the table to data/effects.json. Left out: everything a chapter will add to make an effect understood.
"""

import argparse
import copy
import multiprocessing
import time
from statistics import mean

import torch
from tqdm import tqdm

from llmrl import seeds
from llmrl.lm.decoding import Sampling
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import Plan, next_token_loss, sample_batches
from llmrl.lm.training import train as fit
from llmrl.policy import group
from llmrl.preference import train as dpo
from llmrl.reasoning import distill, verifiable
from llmrl.reasoning.search import best_of_n, majority_vote
from llmrl.rlhf import reward_model
from llmrl.toy import checkpoints, facts, files, preferences, tasks, telling
from llmrl.toy.arithmetic import last_number, wrote_steps
from llmrl.toy.effect_table import as_text, holds, row, store
from llmrl.toy.words import UNTOLD_LANDS
from llmrl.tuning import chat, sft
from llmrl.tuning.exam import correct, divergence, talk, told

SEEDS = [0, 1, 2]
MIDDLE = 5  # the step at which over-optimisation is looked at on its way


def supervised(seed):
    """SFT: the base model learns to answer."""
    items = tasks.items(tasks.MAKERS, 240, f"{seed} test", test=True)
    model = checkpoints.load("base")
    before = correct(model, items)
    talks = [r["messages"] for r in files.read_jsonl("instructions.jsonl") if r["split"] == "train"]
    for _ in sft.tune(model, talks, Plan(steps=200, lr=2e-3), 32, seed):
        pass
    yield row("held-out instructions answered", before, correct(model, items))


def direct_preference(seed):
    """DPO: gold reward rises, at a price in KL that beta sets."""
    reference = checkpoints.load("sft")
    pairs = dpo.rendered(preferences.pairs(768, f"{seed} dpo"))
    ref_logp = dpo.reference_logp(reference, pairs)
    gold, spent = {None: told(reference, seed)[2]}, {}
    for beta in (0.1, 0.5):
        model = copy.deepcopy(reference)
        for _ in dpo.train(model, pairs, ref_logp, Plan(steps=60, lr=5e-4, warmup=5), beta, seed=seed):
            pass
        prompts, said, gold[beta] = told(model, seed)
        spent[beta] = divergence(model, reference, prompts, said)
    yield row("gold reward, sft to DPO at beta 0.1", gold[None], gold[0.1])
    yield row("gold reward, sft to DPO at beta 0.5", gold[None], gold[0.5])
    yield row("KL to the reference, beta 0.1 to beta 0.5", spent[0.1], spent[0.5], up=False)
    yield row("KL to the reference, sft to DPO at beta 0.1", [0.0] * len(prompts), spent[0.1])


def over_optimised(seed):
    """A reward model that also likes length, followed without a leash: proxy up, gold up and then down."""
    reference, tokens = checkpoints.load("sft"), checkpoints.tokenizer()
    liked = preferences.pairs(1024, f"{seed} rm", preferences.Labels(length_bias=0.05))
    pairs = [(a[0], b[0]) for a, b in dpo.rendered(liked)]
    judge = reward_model.RewardModel(reference)
    for _ in reward_model.train(judge, pairs, Plan(steps=100, lr=1e-3, warmup=5), seed=seed):
        pass
    fresh = dpo.rendered(preferences.pairs(256, f"{seed} rm test"))
    margin = judge.score([a[0] for a, _ in fresh]) - judge.score([b[0] for _, b in fresh])
    yield row("pairs ranked as gold does, chance to reward model", [0.5] * 256, (margin > 0).float().tolist())

    def proxy(prompts, said):
        return judge.score([chat.render(talk(p, a))[0] for p, a in zip(prompts, said)]).tolist()

    def ask(step):
        asked = [messages[:1] for messages in telling.conversations(plan.prompts, f"{seed} asked {step}")]
        prompts = [messages[0]["content"] for messages in asked]
        judge_all = lambda said: [proxy([p] * len(g), map(tokens.decode, g)) for p, g in zip(prompts, said)]  # noqa: E731
        return [chat.prompt_ids(messages) for messages in asked], judge_all

    model, plan = copy.deepcopy(reference), group.GroupPlan(steps=40, prompts=8, answers=8, max_new=72, lr=5e-4)
    seen = [told(model, seed)]
    steps = group.train(model, ask, plan, seed=seed)
    for record in steps:
        if record["step"] + 1 in (MIDDLE, plan.steps):
            seen.append(told(model, seed))
    proxies, golds = [proxy(p, a) for p, a, _ in seen], [g for _, _, g in seen]
    yield row(f"proxy reward, start to step {plan.steps}", proxies[0], proxies[2])
    yield row(f"gold reward, start to step {MIDDLE}", golds[0], golds[1])
    yield row(f"gold reward, step {MIDDLE} to step {plan.steps}", golds[1], golds[2], up=False)


def reasoning(seed):
    """GRPO from the reasoning base: more right, more written steps, longer answers."""
    model, tokens = checkpoints.load("reasoning_base"), checkpoints.tokenizer()
    test = tasks.items("add", 160, f"{seed} test", test=True, digits=3)

    def measure():
        said = sft.answers(model, [i.prompt for i in test], 64, Sampling(temperature=1.0), seeds.rng(seed, "eval"))
        return ([float(tasks.verify(i, a)) for i, a in zip(test, said)], [float(wrote_steps(a)) for a in said],
                [float(len(tokens.encode(a))) for a in said])  # fmt: skip

    def sums(step):
        return tasks.items("add", plan.prompts, f"{seed} asked {step}", digits=3)

    before, plan = measure(), group.GroupPlan(steps=40, max_new=64, lr=5e-4)
    for _ in group.train(model, verifiable.game(sums), plan, seed=seed):
        pass
    for name, a, b in zip(
        ("three-digit sums right", "answers with written steps", "tokens per answer"), before, measure()
    ):
        yield row(name, a, b)


def more_samples(seed, n=16):
    """Best of N by the verifier, and a majority vote, against one sample."""
    model, items = checkpoints.load("reasoning_base"), tasks.items("add", 96, f"{seed} test", test=True, digits=3)
    said = sft.answers(
        model, [i.prompt for i in items for _ in range(n)], 64, Sampling(temperature=1.0), seeds.rng(seed, "many")
    )
    single, best, voted = [], [], []
    for item, group_of in zip(items, zip(*[iter(said)] * n)):
        right = [float(tasks.verify(item, answer)) for answer in group_of]
        single.append(mean(right))
        best.append(float(tasks.verify(item, best_of_n(group_of, right))))
        voted.append(float(majority_vote([last_number(answer) for answer in group_of]) == int(item.answer)))
    yield row(f"sums right, one sample to best of {n}", single, best)
    yield row(f"sums right, one sample to majority of {n}", single, voted)


def distilled(seed):
    """A student a sixth of the size learns a teacher's weighing of every token better than the words it is shown."""
    teacher = checkpoints.load("sft")
    data = sft.samples(telling.conversations(300, f"{seed} students"))
    batch = sample_batches(data, 32, lambda step: seeds.rng(seed, "student", step))
    test = sft.samples(telling.conversations(128, f"{seed} student test"))
    gaps = {}
    for name, loss in (("words", next_token_loss), ("weights", distill.soft_loss(teacher))):
        student = TinyLM(Config(width=64, layers=2, heads=2, kv_heads=1, ffn=176), seeds.rng(seed, "student"))
        for _ in fit(student, batch, Plan(steps=240, lr=4e-3), loss=loss):
            pass
        with torch.no_grad():
            gaps[name] = [next_token_loss(student, torch.tensor([i]), torch.tensor([m])).item() for i, m in test]
    yield row(
        "log-loss on held-out answers, student of words to student of weights", gaps["words"], gaps["weights"], up=False
    )


def forgotten(seed):
    """Tuned on new facts alone, a model forgets what else it could do."""
    model = checkpoints.load("sft")
    old = tasks.items([t for t in tasks.MAKERS if t != "fact"], 220, f"{seed} test", test=True)
    world = facts.facts()
    new = [
        tasks.Item("fact", facts.question(land, kind), world[land][kind])
        for land in UNTOLD_LANDS
        for kind in facts.KINDS
    ]
    before = correct(model, old), correct(model, new)
    for _ in sft.tune(model, [item.messages() for item in new], Plan(steps=120, lr=1e-3), 32, seed):
        pass
    yield row("new facts known", before[1], correct(model, new))
    yield row("old tasks answered", before[0], correct(model, old), up=False)


EFFECTS = (supervised, direct_preference, over_optimised, reasoning, more_samples, distilled, forgotten)


def settle():
    """How a process that measures computes: on one thread, with the tiniest numbers taken for zero."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)


def measure(job):
    """All rows of one effect for one seed, with the seconds that one core was busy."""
    effect, seed = job
    start = time.process_time()
    rows = list(effect(seed))
    took = round(time.process_time() - start, 1)
    return [{"effect": effect.__name__, "seed": seed, "seconds": took} | r for r in rows]


def main():
    parser = argparse.ArgumentParser(description="Measure every effect the course stands on and store the table.")
    parser.add_argument(
        "names", nargs="*", help=f"some of {', '.join(e.__name__ for e in EFFECTS)}; the rest of the table stays"
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, help="others than 0 1 2 are not stored")
    parser.add_argument("--jobs", type=int, default=2)
    asked = parser.parse_args()
    jobs = [(e, seed) for e in EFFECTS if not asked.names or e.__name__ in asked.names for seed in asked.seeds]
    with multiprocessing.get_context("spawn").Pool(asked.jobs, settle) as pool:
        rows = [r for found in tqdm(pool.imap(measure, jobs), "effects", total=len(jobs)) for r in found]
    print(as_text(rows))
    if asked.seeds == SEEDS:
        store(rows, [e.__name__ for e in EFFECTS])
    raise SystemExit(not all(map(holds, rows)))


if __name__ == "__main__":
    main()
