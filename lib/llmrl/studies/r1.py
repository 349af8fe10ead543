"""R1-Zero, what it drew out of the base and what it taught, rewards that are hacked, the pipeline, TRL beside ours.

R1-Zero is GRPO on three-digit sums from `reasoning_base`. Then pass@k of the base, of that model and of a third: the
second trained on, also on sums of two lengths (the ladder), which the base next to never gets right. Two controls start
at the base on hard sums alone: of two lengths, and of four digits. Every reward of a set is followed by itself, then
all together. The pipeline of R1 runs beside tuning without RL, on the cold start's solutions and on as many as sums
are asked in the third stage. TRL's GRPOTrainer is asked R1-Zero's prompts.
Left out: other sizes of model; runs of more than a few minutes, which might find what these do not.
"""

import json
import time
from dataclasses import replace
from functools import partial

from llmrl.lm.model import TinyLM
from llmrl.policy import group
from llmrl.reasoning import r1, r1_peer, verifiable
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files
from llmrl.toy.make import SEED

SEEDS, PEERS = 3, 2
LADDER, ALONE = replace(r1.ZERO, steps=48), replace(r1.ZERO, steps=24)
HACKED = group.GroupPlan(steps=24, prompts=8, answers=8, max_new=48, pieces=4, surrogate=r1.TOKENS)
RULES = {
    "accuracy, exact": verifiable.accuracy,
    "accuracy, 10 percent off counts": verifiable.nearly,
    "form": verifiable.form,
    "brevity": verifiable.brevity,
    "all three, accuracy exact": verifiable.total(
        {verifiable.accuracy: 1.0, verifiable.form: 0.2, verifiable.brevity: 0.1}
    ),
}
SETS = {"three digits": ((3, 3),), "two lengths": r1.MIXED, "two digits": ((2, 2),), "four digits": ((4, 4),)}
ITEMS, TRIES, BASE_TRIES = 48, 64, 256


def three(seed, prompts, step):
    """What R1-Zero is asked in a step."""
    return verifiable.sums(prompts, (3, 3), f"{SEED} zero {seed} {step}")


def test_set(name):
    """Held-out sums of one kind."""
    kinds = SETS[name]
    return [i for d in kinds for i in verifiable.sums(ITEMS // len(kinds), d, f"{SEED} pass at k", test=True)]


def trained(start, items_at, plan, seed, reward=verifiable.accuracy, save=None):
    """One run: a record per step, the processor's seconds of all."""
    model, begin = checkpoints.load("reasoning_base") if start is None else TinyLM.load(start), time.process_time()
    records = list(r1.reinforce(model, items_at, reward, plan, seed))
    seconds = time.process_time() - begin
    if save:
        model.save(save)
    return {"records": records, "seconds": seconds}


def ladder_at(seed, step):
    """A third of each kind."""
    return r1.every_kind(LADDER.prompts, f"{SEED} ladder {seed} {step}")


def two_lengths_at(seed, step):
    half = ALONE.prompts // 2
    return [item for digits in r1.MIXED for item in verifiable.sums(half, digits, f"{SEED} alone {seed} {step}")]


def four_at(seed, step):
    return verifiable.sums(ALONE.prompts, (4, 4), f"{SEED} four {seed} {step}")


def right(start, name, seed, tries):
    """How many of so many answers to each held-out sum are right."""
    model = checkpoints.load("reasoning_base") if start is None else TinyLM.load(start)
    return r1.counts(model, test_set(name), tries, f"{SEED} right {seed}")


def spoken(start, name, seed):
    """One answer to each held-out sum, as text."""
    return [texts[0] for texts in r1.sampled(TinyLM.load(start), test_set(name), 1, f"{SEED} spoken {seed}")]


def rare(n=480, tries=16):
    """How often the base is right on sums of two lengths from the training part: what the ladder can start from."""
    items = [i for d in r1.MIXED for i in verifiable.sums(n // len(r1.MIXED), d, f"{SEED} rare")]
    return r1.counts(checkpoints.load("reasoning_base"), items, tries, f"{SEED} rare")


def depth(start, name):
    """The log-probability of the written solution of each held-out sum."""
    model = checkpoints.load("reasoning_base") if start is None else TinyLM.load(start)
    return r1.solution_logp(model, test_set(name)).tolist()


def theirs(seed):
    """TRL's run of R1-Zero."""
    trainer = r1_peer.trainer(checkpoints.load("reasoning_base"), partial(three, seed, r1.ZERO.prompts), r1.ZERO, seed)
    begin = time.process_time()
    return {"records": r1_peer.records(trainer), "seconds": time.process_time() - begin}


def staged(stages, seed):
    """A pipeline: the exam after every stage, what its training recorded, its seconds."""
    base, found, begin = checkpoints.load("reasoning_base"), [], time.process_time()
    for done in r1.run(stages, base, f"{SEED} {seed}"):
        seconds = time.process_time() - begin
        kept = ("reward", "loss", "right", "length")
        steps = [{name: record[name] for name in kept if name in record} for record in done["records"]]
        look = r1.exam(done["model"], f"{SEED} {seed}", 192)
        found.append({"stage": done["stage"], "exam": look, "records": steps, "seconds": seconds})
        begin = time.process_time()
    return found


def zeros(kept, seed):
    """R1-Zero and what follows from it, for one seed."""
    zero, ladder = (kept.file(f"{name} {seed}") for name in ("zero", "ladder"))
    found = {
        "zero": kept(f"zero {seed}", partial(trained, None, partial(three, seed, 16), r1.ZERO, seed, save=zero)),
        "ladder": kept(f"ladder {seed}", partial(trained, zero, partial(ladder_at, seed), LADDER, seed, save=ladder)),
        "two lengths alone": kept(
            f"two lengths alone {seed}", partial(trained, None, partial(two_lengths_at, seed), ALONE, seed)
        ),
        "four digits alone": kept(
            f"four digits alone {seed}", partial(trained, None, partial(four_at, seed), ALONE, seed)
        ),
    }
    found["right"] = {
        who: {name: kept(f"right {who} {name} {seed}", partial(right, start, name, seed, TRIES)) for name in SETS}
        for who, start in (("zero", zero), ("ladder", ladder))
    }
    found["depth"] = {
        who: {name: kept(f"depth {who} {name} {seed}", partial(depth, start, name)) for name in SETS}
        for who, start in (("zero", zero), ("ladder", ladder))
    }
    found["spoken"] = {"ladder": {"two digits": kept(f"spoken {seed}", partial(spoken, ladder, "two digits", seed))}}
    return found


def make(kept):
    """studies/r1.json: R1-Zero and its ladder, pass@k, each reward by itself, TRL, the pipeline."""
    base = {name: kept(f"right base {name}", partial(right, None, name, "base", BASE_TRIES)) for name in SETS}
    deep = {name: kept(f"depth base {name}", partial(depth, None, name)) for name in SETS}
    runs = [zeros(kept, seed) for seed in range(SEEDS)]
    hacked = {
        name: [
            kept(f"{name} {s}", partial(trained, None, partial(three, f"hacked {s}", 8), HACKED, s, rule))
            for s in range(SEEDS)
        ]
        for name, rule in RULES.items()
    }
    exams = [kept(f"exam {s}", partial(r1.exam, checkpoints.load("reasoning_base"), f"{SEED} {s}", 192))
             for s in range(SEEDS)]  # fmt: skip
    peers = [kept(f"TRL {s}", partial(theirs, s)) for s in range(PEERS)]
    staged_runs = [kept(f"pipeline {s}", partial(staged, r1.pipeline(), s)) for s in range(SEEDS)]
    control = [kept(f"without RL {s}", partial(staged, r1.without_rl(), s)) for s in range(SEEDS)]
    more = r1.without_rl(replace(r1.Dials(), few=r1.Dials().asked))
    as_many = [kept(f"as many written {s}", partial(staged, more, s)) for s in range(SEEDS)]
    found = {
        "base": {"right": base, "rare": kept("rare", rare), "depth": deep, "exam": exams},
        "runs": runs, "hacked": hacked, "pipeline": staged_runs, "without RL": control,
        "as many written": as_many, "TRL": peers,
    }  # fmt: skip
    files.ship("studies/r1.json", json.dumps(rounded(found)) + "\n")
