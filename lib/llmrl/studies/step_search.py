"""Ways to spend tokens on one question, on the same 320 sums: draws, votes, searches over steps.

The reasoning base is asked three-digit sums it was never trained on. Every question gets 64 draws, from which best-of-N
and votes of every N are computed, a step search of four widths, and tree searches guided by different judges of steps.
Shares come with their number of questions, so that a difference can be held against its error.
Left out: the time a judge takes; other models.
"""

import json
from functools import partial
from statistics import mean

import torch

from llmrl import seeds
from llmrl.reasoning.astar import astar
from llmrl.reasoning.selection import best_worth
from llmrl.reasoning.step_beam import StepPlan, step_beam
from llmrl.reasoning.step_search import arithmetic, columns, erring, look_ahead, silent
from llmrl.reasoning.step_tree import StepTree, recommended, text
from llmrl.reasoning.verifiers import step_verdicts
from llmrl.reasoning.votes import winners
from llmrl.studies.compute import sampled
from llmrl.studies.kept import rounded
from llmrl.toy import checkpoints, files, tasks
from llmrl.toy.make import SEED
from llmrl.tuning import chat

QUESTIONS, SAMPLES, MANY = 320, 64, 256
SIZES = (1, 2, 4, 8, 16, 32, 64)
PLANS = ((1, 2), (1, 4), (1, 8), (2, 8), (4, 16))  # width, draws
JUDGES = {
    "silent": silent, "arithmetic": arithmetic, "knows, 1 in 5 wrong": erring(columns, 0.2, SEED), "knows": columns,
}  # fmt: skip
LIKELIER = 1e-3  # of a nat of log-probability, added to a verdict: it only decides between equal verdicts


def questions():
    """Three-digit sums of the held-out tenth."""
    return tasks.items("add", QUESTIONS, f"{SEED} step search", test=True, digits=3)


def drawn():
    """The curves of all methods that choose among finished answers: share right at every N, tokens of one draw."""
    items = questions()
    said = sampled(checkpoints.load("reasoning_base"), items, SAMPLES, seeds.rng(SEED, "step search"))
    right, true, numbers, logp, tokens = (
        torch.tensor(said[name], dtype=torch.float64) for name in ("right", "true_steps", "number", "logp", "tokens")
    )
    scores = {"knows": right, "arithmetic": true, "arithmetic, then likelier": true + LIKELIER * logp}
    curves = {name: [best_worth(score, right, n).mean().item() for n in SIZES] for name, score in scores.items()}
    truth, random = right.new_tensor([[int(item.answer)] for item in items]).numpy(), seeds.numpy_rng(SEED, "ballots")
    curves["vote"] = [float((winners(numbers.numpy(), n, 20, random) == truth).mean()) for n in SIZES]
    return {"curves": curves, "tokens": tokens.mean().item()}


def longest():
    """The longest of N answers: how often it is right and has true steps throughout; for two N question by question."""
    model, parts, items = checkpoints.load("reasoning_base"), [], questions()
    for start in range(0, QUESTIONS, 40):
        parts.append(sampled(model, items[start : start + 40], MANY, seeds.rng(SEED, "longest", start)))
    right, tokens, true = (
        torch.tensor([row for part in parts for row in part[name]]).double()
        for name in ("right", "tokens", "true_steps")
    )
    sizes = [2**k for k in range(MANY.bit_length())]
    return {
        "sizes": sizes,
        "right": [best_worth(tokens, right, n).mean().item() for n in sizes],
        "true_steps": [best_worth(tokens, true, n).mean().item() for n in sizes],
        "each": {str(n): best_worth(tokens, right, n).tolist() for n in (1, 16, MANY)},
    }


def stepped(width, draws):
    """One step search by arithmetic: share right, tokens per question."""
    model, items = checkpoints.load("reasoning_base"), questions()
    prompts = [chat.prompt_ids(item.messages()[:1]) for item in items]
    judge = lambda place, written: arithmetic(items[place], written)  # noqa: E731
    said, used = step_beam(
        model, prompts, judge, StepPlan(width, draws), generator=seeds.rng(SEED, "beam", width, draws)
    )
    return {"width": width, "draws": draws, "right": mean(map(tasks.verify, items, said)), "tokens": mean(used)}


def looked():
    """Per question: whether each tree search is right, whether it wrote steps; the tokens of all its lists of steps."""
    model, items, found, tokens = checkpoints.load("reasoning_base"), questions(), {}, []
    for item in items:
        tree = StepTree(model, item.prompt)
        said = {"likeliest step each time": text(recommended(tree, None))}
        said |= {name: look_ahead(tree, item, judge)[1] for name, judge in JUDGES.items()}
        honest = StepTree(model, item.prompt, limit=lambda state: all(step_verdicts(text(state))))
        way = astar((), honest.neighbours, honest.finished, most=60)
        said["likeliest with true steps"] = text(way.path[-1]) if way.path else ""
        tokens.append(tree.spent)
        for name, answer in said.items():
            row = found.setdefault(name, {"right": [], "written": []})
            row["right"].append(int(tasks.verify(item, answer)))
            row["written"].append(int("=" in answer))
    return {"searches": found, "tokens": mean(tokens)}


def make(kept):
    """studies/step_search.json: curves over N, step searches, tree searches."""
    found = {
        "questions": QUESTIONS, "sizes": SIZES, "drawn": kept("drawn", drawn), "trees": kept("trees", looked),
        "longest": kept("longest", longest),
        "stepped": [kept(f"width {w}, draws {d}", partial(stepped, w, d)) for w, d in PLANS],
    }  # fmt: skip
    files.ship("studies/step_search.json", json.dumps(rounded(found)) + "\n")
