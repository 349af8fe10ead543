"""What supervised tuning does over its epochs, with and without the prompts in the loss, and to what a model knows.

Tuning: the base model on few examples or on many, learning the answers or all tokens, with the same number of steps at
one constant rate; measured on the way are the loss over answers that were trained on and over held-out ones, over the
words of held-out prompts, and the share of held-out questions answered. Knowing: the tuned model goes on with facts it
knows, alone or beside facts of lands nobody told of, which are answered with a value or with "I do not know.".
Left out: a learning rate for each variant of its own; open questions, which have no right answer.
"""

import json
import random
from itertools import product

from llmrl.lm.training import Plan, train
from llmrl.seeds import derive, rng
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, tasks
from llmrl.toy.make import SEED
from llmrl.tuning import exam, sft, unknown
from llmrl.tuning.abstention import asked, tally

FEW, BATCH, EPOCHS, EVERY = 192, 16, 24, 2  # samples of the small set; epochs of it, and how often losses are taken
ASKED = 180  # held-out questions
PLAN = Plan(steps=EPOCHS * FEW // BATCH, lr=1e-3, warmup=10, final=1.0)
SIZES, LEARNED = ("few", "many"), ("answers", "all tokens")
SEEDS, MORE = range(3), range(5)  # of the curves, of the arms
TELL = Plan(steps=60, lr=5e-4, warmup=6)
LOOK = (0, 10, 20, 40, 60)  # steps after which the knowing is measured
ARMS = {  # name: (arm, known lands, new lands)
    "known facts": ("known", 12, 12),
    "new facts": ("new facts", 12, 12),
    "do not know": ("do not know", 12, 12),
    "do not know, 36 new lands": ("do not know", 12, 36),
    "do not know, 20 known lands": ("do not know", 20, 12),
}


def conversations(size, seed):
    """Training conversations with a verifiable answer: a few of them, or all there are."""
    rows = [r for r in files.read_jsonl("instructions.jsonl") if r["split"] == "train" and r["task"] != "tell"]
    random.Random(derive(SEED, "sft study", seed)).shuffle(rows)
    return [row["messages"] for row in rows[: FEW if size == "few" else None]]


def everything(rows):
    """The same samples with every token to be learned."""
    return [(ids, [True] * len(ids)) for ids, _ in rows]


def prompts(rows):
    """The same samples with the mask turned round: the tokens that are not of an answer."""
    return [(ids, [not answer for answer in mask]) for ids, mask in rows]


def curve(size, learned, seed, plan=PLAN, n=ASKED):
    """Tune the base model; yields what is measured after every second epoch of the small set, and before the first."""
    rows = sft.samples(conversations(size, seed))
    items = tasks.items(tasks.MAKERS, n, f"{SEED} sft study", test=True)
    unseen = sft.samples([item.messages() for item in items])
    model = checkpoints.load("base")

    def measured(step):
        with_answers = step % (3 * every) == 0
        return {
            "step": step,
            "train": sft.answer_loss(model, rows[:FEW]),
            "held out": sft.answer_loss(model, unseen),
            "prompts": sft.answer_loss(model, prompts(unseen)),
            "right": exam.by_task(items, exam.correct(model, items)) if with_answers else None,
        }

    every = EVERY * FEW // BATCH
    to_learn = everything(rows) if learned == "all tokens" else rows
    batch = sft.epoch_batches(to_learn, BATCH, lambda epoch: rng(SEED, "sft study", size, seed, epoch))
    yield measured(0)
    for record in train(model, batch, plan, loss=sft.learned_loss):
        if (record["step"] + 1) % every == 0:
            yield measured(record["step"] + 1)


def knowing(arm, known, new, seed, plan=TELL):
    """Tune the sft model on an arm's facts; yields after each step of LOOK what it does with what it was not tuned on.

    "known" are told lands that were left out, "few known" the last four of them, "unknown" invented ones, and
    "learned" is the share of the arm's own new facts that are answered as they were told.
    """
    lands = unknown.split(f"{SEED} {seed}", known, new)
    talks = unknown.conversations(lands, arm, f"{SEED} {seed}")
    told = [tuple(message["content"] for message in talk) for talk in talks[len(lands.known) * 4 :]]
    groups = {"known": unknown.questions(lands.known_asked), "few known": unknown.questions(lands.known_asked[-4:]),
              "unknown": unknown.questions(lands.new_asked), "learned": told}  # fmt: skip
    model = checkpoints.load("sft")

    def measured(step):
        return {"step": step} | {name: measure(model, pairs) for name, pairs in groups.items() if pairs}

    yield measured(0)
    for record in sft.tune(model, talks, plan, seed=f"{SEED} {seed}"):
        if record["step"] + 1 in LOOK:
            yield measured(record["step"] + 1)


def measure(model, pairs):
    """Shares of right, abstained and confidently wrong answers to (question, truth) pairs."""
    said, probability = asked(model, [question for question, _ in pairs])
    return tally(said, [truth for _, truth in pairs], [min(1.0, p) for p in probability])


def make(kept):
    """All curves and arms, each with several seeds."""
    curves, arms = {}, {}
    for seed, name in product(MORE, ARMS):
        found = kept(f"{name} {seed}", lambda n=name, i=seed: rounded(list(knowing(*ARMS[n], i))))
        arms.setdefault(name, []).append(found)
    for seed, size, learned in product(SEEDS, SIZES, LEARNED):
        key = f"{size} {learned}"
        found = kept(f"{key} {seed}", lambda s=size, w=learned, i=seed: rounded(list(curve(s, w, i))))
        curves.setdefault(key, []).append(found)
    files.ship("studies/sft.json", json.dumps({"curves": curves, "arms": arms}) + "\n")
