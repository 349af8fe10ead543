"""LoRA's relatives on equal terms: the same start, task, batches and steps, each at the learning rate that suits it.

The tuned model learns something new: 128 facts in the place of those it knows, which is memory, or to sort downwards
where it sorted upwards, which is a skill and is measured on questions nobody trained on. Every method tries a learning
rate and those at half and at twice of it, and goes on until its best try has a worse one on both sides, judged on other
questions and another seed. Then come three seeds. LoRA of rank 3 stands beside LoRA of rank 2, because DoRA trains more
numbers than LoRA at equal rank and AdaLoRA begins with rank 3; LoRA of rank 2 with four times the alpha, because that
is a dial that costs nothing; and AdaLoRA's choice has a rival that draws by lot.
Left out: tuning alpha for the others, the penalty and the budget's timing.
"""

import copy
import json
from functools import partial

import torch

from llmrl import seeds
from llmrl.lm.training import Plan, next_token_loss, pad_samples, sample_batches, train
from llmrl.studies.kept import Kept
from llmrl.toy import changed, checkpoints, files, tasks
from llmrl.toy.make import SEED
from llmrl.tuning import exam, sft
from llmrl.tuning.adalora import Allocator, Budget, SVDLinear, penalty, triplets
from llmrl.tuning.dora import DoRALinear, moved
from llmrl.tuning.lora import ALL, LoRALinear, adapt, trainable, unload
from llmrl.tuning.pissa import PiSSALinear

TASKS = ("facts", "sort")
STEPS, BATCH, WARMUP = 100, 16, 10
RANK, FIRST = 2, 3  # ranks per matrix; AdaLoRA begins with FIRST and ends with RANK on average
PENALTY = 0.1
# learning rates that are tried first
CENTRES = {"full": 2e-3, "lora": 1e-2, "lora3": 1e-2, "alpha": 1e-2, "dora": 1e-2, "pissa": 1e-2, "adalora": 3e-2}
METHODS = (*CENTRES, "by lot")
TRIAL = 100  # the seed that learning rates are chosen on


class ByLot(Allocator):
    """Keeps as many triplets as AdaLoRA, drawn once by lot."""

    def __init__(self, model, budget, generator):
        super().__init__(model, budget)
        self.lots = {name: torch.rand(layer.rank, generator=generator) for name, layer in self.layers.items()}

    def scores(self):
        return self.lots


def downwards(n, seed, test=False):
    """Items that say "Sort 3 1 2." and want 3 2 1; judged as reversals are, word by word."""
    return [tasks.Item("reverse", i.prompt, i.answer[::-1]) for i in tasks.items("sort", n, seed, test)]


def lessons(task, seed):
    """What is trained on and what is asked afterwards: for facts the same, for sorting other questions."""
    if task == "facts":
        items = changed.items(f"{SEED} family {seed}")
        return items, items
    return downwards(2000, f"{SEED} family {seed}"), downwards(256, f"{SEED} family {seed}", test=True)


def beginning(method, seed):
    """The sft model with fresh adapters of that method."""
    generator = seeds.rng(SEED, "family", seed, "adapters")
    make = {
        "lora": lambda linear: LoRALinear(linear, RANK, 2.0 * RANK, generator=generator),
        "lora3": lambda linear: LoRALinear(linear, FIRST, 2.0 * FIRST, generator=generator),
        "alpha": lambda linear: LoRALinear(linear, RANK, 8.0 * RANK, generator=generator),
        "dora": lambda linear: DoRALinear(linear, RANK, 2.0 * RANK, generator=generator),
        "pissa": lambda linear: PiSSALinear(linear, RANK, 2.0 * RANK),
        "adalora": lambda linear: SVDLinear(linear, FIRST, 2.0 * FIRST, generator=generator),
    }
    make["by lot"] = make["adalora"]
    model = checkpoints.load("sft")
    return model if method == "full" else adapt(model, ALL, make[method])


def allocator(model, method, seed):
    """Who shares out the ranks of a model; None where nobody does."""
    if method not in ("adalora", "by lot"):
        return None
    layers = len(triplets(model))
    budget = Budget(STEPS, FIRST * layers, RANK * layers, warmup=STEPS // 5, final=3 * STEPS // 10, every=5)
    return Allocator(model, budget) if method == "adalora" else ByLot(model, budget, seeds.rng(SEED, "lots", seed))


def training(model, method, items, lr, seed):
    """Train a model on items; yields the record of each step, its loss without the penalty of AdaLoRA."""
    share, rows = allocator(model, method, seed), sft.samples([item.messages() for item in items])
    seen = {}

    def loss(model, ids, mask):
        plain = next_token_loss(model, ids, mask)
        seen["loss"] = plain.item()
        return plain + PENALTY * penalty(model) if share else plain

    batch = sample_batches(rows, BATCH, lambda step: seeds.rng(SEED, "family", seed, step))
    for record in train(model, batch, Plan(STEPS, lr, WARMUP, weight_decay=0.0), loss=loss):
        yield record | seen | ({"ranks": share.after(record["step"])} if share else {})


def kept_numbers(model):
    """How many numbers are needed to store what was learned: a triplet that was set to zero needs none."""
    if not any(isinstance(layer, SVDLinear) for layer in model.modules()):
        return trainable(model)
    return sum(int((layer.E != 0).sum()) * (1 + sum(layer.linear.weight.shape)) for layer in triplets(model).values())


def moves(model, start):
    """How far the rows of each matrix changed in length and how far they turned: two means per matrix, by name."""
    plain = unload(copy.deepcopy(model)) if any(isinstance(m, LoRALinear) for m in model.modules()) else model
    before = {name: module.weight for name, module in start.named_modules() if isinstance(module, torch.nn.Linear)}
    with torch.no_grad():
        pairs = {name: moved(plain.get_submodule(name).weight, weight) for name, weight in before.items()}
    return {name: [round(x.mean().item(), 6) for x in pair] for name, pair in pairs.items()}


def measured(task, method, lr, seed):
    """One run from its beginning to its exam, as a dictionary."""
    model, (learn, asked) = beginning(method, seed), lessons(task, seed)
    losses = [round(record["loss"], 3) for record in training(model, method, learn, lr, seed)]
    ids, mask = pad_samples(sft.samples([item.messages() for item in asked]))
    with torch.no_grad():
        loss = next_token_loss(model, ids, mask).item()
    found = {"loss": round(loss, 4), "right": sum(exam.correct(model, asked, max_new=16)) / len(asked)}
    found |= {"losses": losses, "trained": trainable(model), "kept": kept_numbers(model)}
    found["moves"] = moves(model, checkpoints.load("sft"))
    if method in ("adalora", "by lot"):
        found["ranks"] = {name: int((layer.E != 0).sum()) for name, layer in triplets(model).items()}
    return found


def tries(kept, task, method):
    """{learning rate: loss}, until the best of them has a worse one on both sides."""
    centre, found = CENTRES[method], {}
    wanted = [centre / 2, centre, 2 * centre]
    while wanted:
        for lr in wanted:
            run = kept(f"{task} {method} {lr:g} trial", partial(measured, task, method, lr, TRIAL))
            found[lr] = run["loss"]
        best = min(found, key=found.get)
        wanted = [lr for lr in (best / 2, 2 * best) if lr not in found]
    return dict(sorted(found.items()))


def make(kept: Kept):
    """Compute what is missing and ship it."""
    chosen, runs = {}, {}
    for task in TASKS:
        for method in METHODS:
            asked = "adalora" if method == "by lot" else method  # the lot is drawn at AdaLoRA's own learning rate
            chosen[f"{task} {method}"] = tries(kept, task, asked)
            lr = min(chosen[f"{task} {method}"], key=chosen[f"{task} {method}"].get)
            for seed in range(3):
                run = kept(f"{task} {method} {lr:g} {seed}", partial(measured, task, method, lr, seed))
                runs.setdefault(f"{task} {method}", []).append(run | {"lr": lr})
    files.ship("studies/lora_family.json", json.dumps({"tries": chosen, "runs": runs}) + "\n")
