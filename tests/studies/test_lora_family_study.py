"""What the study of LoRA's relatives ships is what its code makes."""

import pytest
import torch

from llmrl.studies import lora_family as family
from llmrl.toy import checkpoints, files

SHIPPED = files.read_json("studies/lora_family.json")
KEYS = [f"{task} {method}" for task in family.TASKS for method in family.METHODS]


def test_every_run_is_there():
    assert sorted(SHIPPED["runs"]) == sorted(SHIPPED["tries"]) == sorted(KEYS)
    for runs in SHIPPED["runs"].values():
        assert len(runs) == 3 and all(len(run["losses"]) == family.STEPS and len(run["moves"]) == 28 for run in runs)


@pytest.mark.parametrize("key", KEYS)
def test_the_rate_is_better_than_those_on_either_side(key):
    tried = {float(lr): loss for lr, loss in SHIPPED["tries"][key].items()}
    best = min(tried, key=tried.get)
    assert min(tried) < best < max(tried)
    assert all(run["lr"] == best for run in SHIPPED["runs"][key])


@pytest.mark.parametrize("method", ["full", "lora", "pissa", "dora", "adalora"])
def test_a_run_begins_as_it_was_shipped(method):
    run = SHIPPED["runs"][f"facts {method}"][0]
    records = family.training(family.beginning(method, 0), method, family.lessons("facts", 0)[0], run["lr"], 0)
    assert [r["loss"] for _, r in zip(range(3), records)] == pytest.approx(run["losses"][:3], abs=0.02)


def test_both_ways_to_share_end_with_the_budget():
    for task in family.TASKS:
        for method in ("adalora", "by lot"):
            for run in SHIPPED["runs"][f"{task} {method}"]:
                assert sum(run["ranks"].values()) == 28 * family.RANK and max(run["ranks"].values()) <= family.FIRST
                assert run["kept"] < run["trained"]
    chosen = [tuple(run["ranks"].values()) for run in SHIPPED["runs"]["facts by lot"]]
    assert len(set(chosen)) == 3  # another lot for every seed


def test_a_lot_is_drawn_once():
    share = family.allocator(family.beginning("by lot", 1), "by lot", 1)
    first = {name: score.clone() for name, score in share.scores().items()}
    assert all(torch.equal(share.scores()[name], score) for name, score in first.items())


def test_what_was_not_trained_has_not_moved():
    start = checkpoints.load("sft")
    for method in ("full", "lora", "pissa"):  # none of them changes anything before its first step
        found = torch.tensor(list(family.moves(family.beginning(method, 0), start).values()))
        assert found.shape == (28, 2) and found.abs().max() < 1e-5


def test_tasks_ask_what_they_should():
    learn, asked = family.lessons("sort", 0)
    assert not {i.prompt for i in learn} & {i.prompt for i in asked} and len(asked) == 256
    for item in asked[:20]:
        digits = item.prompt.removeprefix("Sort ").rstrip(".").split()
        assert item.answer.split() == sorted(digits, reverse=True)
    learn, asked = family.lessons("facts", 0)
    assert learn == asked and len(learn) == 128
