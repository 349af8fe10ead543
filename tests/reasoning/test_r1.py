"""The stages of R1: what a step reports, rejection sampling, the order of stages; its peer sees the same rule."""

from dataclasses import replace

import pytest
import torch

from llmrl.lm.training import Plan
from llmrl.reasoning import r1, verifiable
from llmrl.reasoning.r1 import (
    Dials,
    Stage,
    accepted,
    counts,
    described,
    every_kind,
    exam,
    pipeline,
    reinforce,
    run,
    sampled,
    scenarios,
    solution_logp,
    without_rl,
)
from llmrl.toy import checkpoints, tasks
from llmrl.tuning import chat

ITEM = tasks.Item("add", "What is 47+85?", "132", "7+5=12, 4+8+1=13, so 132")
OTHER = tasks.Item("add", "What is 2+2?", "4", "2+2=4, so 4")
SMALL = replace(r1.ZERO, steps=1, prompts=2, answers=2, max_new=8)


def test_what_a_batch_was_like():
    look = described([ITEM, OTHER], [["132", ITEM.steps], ["2+2=5, so 5", "5"]])
    assert look == {"right": 0.5, "formed": 0.5, "steps": 0.5}


def test_rejection_keeps_the_first_answer_that_is_right_and_well_formed():
    said = [["132", "1+1=2, so 131", ITEM.steps, "5+7=12, 8+4+1=13, so 132"], ["4", "2+2=5, so 5"]]
    [talk] = accepted([ITEM, OTHER], said)
    assert [message["content"] for message in talk] == [ITEM.prompt, ITEM.steps]
    assert accepted([ITEM], [["131"]]) == [] and accepted([], []) == []


def test_every_kind_takes_turns():
    lengths = [tuple(map(len, item.prompt[8:-1].split("+"))) for item in every_kind(7, "kinds")]
    assert lengths == [(3, 3), (2, 3), (3, 2)] * 2 + [(3, 3)]
    assert [item.task for item in scenarios(6, "all")][:3] == ["add"] * 3


def test_a_step_of_reinforcement_reports_what_was_said():
    model = checkpoints.load("reasoning_base")
    [record] = reinforce(model, lambda step: verifiable.sums(2, (3, 3), step), plan=SMALL)
    assert set(record) == {"step", "reward", "length", "right", "formed", "steps"}
    assert all(0 <= record[name] <= 1 for name in ("reward", "right", "formed", "steps"))


def test_counts_are_of_right_answers():
    model, items = checkpoints.load("reasoning_base"), verifiable.sums(4, (2, 2), "counts", test=True)
    said = sampled(model, items, 3, 0)
    assert [len(texts) for texts in said] == [3] * 4
    assert counts(model, items, 3, 0) == [sum(tasks.verify(i, t) for t in ts) for i, ts in zip(items, said)]


def test_the_probability_of_a_solution_is_the_product_over_its_tokens():
    model, items = checkpoints.load("reasoning_base"), [ITEM, verifiable.sums(1, (3, 3), 0)[0]]
    for item, found in zip(items, solution_logp(model, items)):
        ids, mask = chat.render(item.messages(unasked=True))
        with torch.no_grad():
            logp = model(torch.tensor([ids]))[0].log_softmax(-1)
        by_hand = sum(logp[t - 1, ids[t]].item() for t in range(len(ids)) if mask[t])
        assert found.item() == pytest.approx(by_hand, abs=1e-3)


def test_a_stage_starts_where_it_says_and_leaves_the_base_alone():
    base, seen = checkpoints.load("reasoning_base"), []

    def add_one(model, models, seed):
        seen.append((list(models), model.embed.weight[0, 0].item()))
        model.embed.weight.data += 1
        yield {"seed": seed}

    first = base.embed.weight[0, 0].item()
    stages = (Stage("a", None, add_one), Stage("b", "a", add_one), Stage("c", None, add_one))
    done = list(run(stages, base, 5))
    assert [d["stage"] for d in done] == ["a", "b", "c"] and done[0]["records"] == [{"seed": 5}]
    assert [x for _, x in seen] == pytest.approx([first, first + 1, first]) and seen[2][0] == [None, "a", "b"]
    assert base.embed.weight[0, 0].item() == first
    with pytest.raises(ValueError, match="b starts from 'a', which did not run before it: put it first"):
        list(run(stages[1:], base))


def test_the_pipeline_runs_from_end_to_end():
    plan = Plan(steps=1, lr=1e-4, warmup=0)
    dials = Dials(few=3, cold=plan, reason=SMALL, asked=3, tries=1, general=4, tune=plan, last=SMALL)
    torch.manual_seed(0)
    done = list(run(pipeline(dials), checkpoints.load("reasoning_base")))
    assert [d["stage"] for d in done] == ["cold start", "RL", "rejection sampling, SFT", "RL on everything"]
    assert [len(d["records"]) for d in done] == [1] * 4
    look = exam(done[-1]["model"], n=4)
    assert all(0 <= look[name] <= 1 for name in ("three digits", "mixed lengths", "other tasks", "formed"))
    assert [d["stage"] for d in run(without_rl(dials), checkpoints.load("reasoning_base"))] == ["SFT without RL"]


@pytest.mark.slow
def test_trl_judges_with_the_same_rule():
    from llmrl.reasoning import r1_peer

    plan = replace(r1.ZERO, steps=2, prompts=2, answers=2, max_new=16)
    trainer = r1_peer.trainer(
        checkpoints.load("reasoning_base"), lambda step: verifiable.sums(2, (3, 3), step), plan
    )  # fmt: skip
    records = r1_peer.records(trainer)
    assert [r["step"] for r in records] == [0, 1] and all(0 <= r["reward"] <= 1 and r["length"] > 0 for r in records)
    assert r1_peer.verdict("7+5=12, so 132", "What is 47+85?", "132") == 1 and r1_peer.verdict("131", "?", "132") == 0
