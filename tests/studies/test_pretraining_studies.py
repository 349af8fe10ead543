"""What the studies of pre-training promise about their texts, and what they shipped, measured again."""

import math
from collections import Counter

import pytest
import torch

from llmrl.lm.training import learning_rate
from llmrl.studies import scaling, schedule, stages
from llmrl.toy import files


def test_a_scaling_run_reads_no_row_twice_and_seeds_read_other_text():
    first, second = scaling.fresh(8, 0), scaling.fresh(8, 1)
    assert first.shape == (8 * scaling.BATCH, scaling.LENGTH) == second.shape
    rows = Counter(map(tuple, torch.cat([first, second]).tolist()))
    assert max(rows.values()) == 1


def test_more_steps_read_the_same_text_and_then_more():
    assert torch.equal(scaling.fresh(16, 0)[: 4 * scaling.BATCH], scaling.fresh(4, 0))


def test_only_the_width_grows_and_the_embedding_is_left_out():
    for width in scaling.WIDTHS:
        config = scaling.size(width)
        assert config == scaling.size(16).__class__(
            width=width, layers=2, heads=2, kv_heads=1, ffn=config.ffn, context=scaling.LENGTH
        )
        model = scaling.TinyLM(config)
        assert scaling.body(config) == sum(p.numel() for p in model.parameters()) - model.embed.weight.numel()


def test_every_case_was_shipped_once():
    shipped = Counter(
        (run["width"], run["tokens"] // (scaling.BATCH * scaling.LENGTH), run["seed"], run["times"])
        for run in files.read_json("studies/scaling.json")["runs"]
    )
    assert shipped == Counter(scaling.cases())


def test_a_repeated_text_is_read_whole_every_time(monkeypatch):
    read = []

    def record(model, batch, plan):
        for step in range(plan.steps):
            read.append(batch(step)[0])
            yield {"loss": 0.0}

    monkeypatch.setattr(scaling, "train", record)
    monkeypatch.setattr(scaling, "mean_loss", lambda model, rows: 0.0)
    monkeypatch.setattr(scaling, "POINTS", 4)
    scaling.run(16, 8, 0, times=4)
    rows = Counter(map(tuple, torch.cat(read).tolist()))
    assert set(rows.values()) == {4} and len(rows) == 2 * scaling.BATCH


def test_removing_a_part_changes_the_plan_and_nothing_else():
    plans = {name: schedule.replace(schedule.WHOLE, **change) for name, change in schedule.WITHOUT.items()}
    assert plans["nothing"] == schedule.WHOLE and len(set(plans.values())) == len(plans)
    last = schedule.STEPS - 1
    assert learning_rate(0, plans["warm-up"]) == schedule.WHOLE.lr
    assert learning_rate(last, plans["cosine"]) == schedule.WHOLE.lr
    shipped = Counter(
        (run["without"], run["lr"], run["seed"]) for run in files.read_json("studies/schedule.json")["runs"]
    )
    halves = {(without, lr) for without, lr, _ in shipped} - {(name, lr) for name in plans for lr in schedule.RATES}
    assert halves == {("cosine", lr / 2) for lr in schedule.RATES}
    assert set(shipped.values()) == {1} and len(shipped) == 2 * (len(plans) + 1) * schedule.SEEDS


def test_careless_and_clean_text_are_the_same_documents():
    clean = stages.documents(stages.ANNEAL, 0, 40)
    careless = stages.documents(stages.replace(stages.ANNEAL, careless=1.0), 0, 40)
    assert all(sorted(a) == sorted(b) for a, b in zip(clean, careless))  # only the order of characters differs
    assert sum(a != b for a, b in zip(clean, careless)) > 30


def test_a_mixture_has_its_shares():
    found = stages.documents(stages.PRE, 0, 2000)
    retold = sum("Once more" in text for text in found)
    sums = sum("+" in text for text in found)
    assert retold == 0 and 0.07 < sums / 2000 < 0.13


@pytest.mark.parametrize("domain", stages.DOMAINS)
def test_held_out_text_counts_what_it_should(domain):
    ids, mask = stages.held_out(domain, 8)
    words = stages.checkpoints.tokenizer()
    for row, marked in zip(ids, mask):
        told = words.decode(row[row != 0].tolist())
        counted = words.decode(row[marked].tolist())
        if domain == "retold":
            first, second = told.removeprefix("<|endoftext|>").split(" Once more.")
            assert counted == second and first.strip() == second.strip()
        else:
            assert counted == told


def test_second_place_counts_the_same_stories_behind_others():
    words = stages.checkpoints.tokenizer()
    behind_itself, behind_another = (
        [
            [words.decode(row[marked].tolist()).strip(), words.decode(row[row != 0].tolist())]
            for row, marked in zip(*rows)
        ]
        for rows in (stages.held_out("retold", 6), stages.in_second_place(6))
    )
    assert [story for story, _ in behind_itself] == [story for story, _ in behind_another]
    for story, told in behind_another:
        first, second = told.removeprefix("<|endoftext|>").split("<|endoftext|>")
        assert second == story != first


def test_the_rates_of_the_stages_rise_stay_fall_and_begin_again():
    rates = stages.rates()
    stay, fall = stages.PRE.steps + stages.MID.steps, stages.PRE.steps + stages.MID.steps + stages.ANNEAL.steps
    assert rates[0] < stages.RATE / 10 and set(rates[stages.PRE.warmup : stay]) == {stages.RATE}
    assert rates[fall - 1] < stages.RATE / 1000 and max(rates[fall:]) == stages.ASK.lr
    assert len(rates) == fall + stages.ASK.steps


def test_the_shipped_models_have_the_losses_on_file():
    line = files.read_json("studies/stages.json")["seeds"][0]["line"]
    stored = {entry["stage"]: entry for entry in line}
    for name in ("pre-training", "annealing"):
        for domain, loss in stages.losses(stages.model_after(name)).items():
            assert math.isclose(loss, stored[name][domain], abs_tol=0.01)


@pytest.mark.slow
def test_the_smallest_runs_end_where_they_did():
    shipped = files.read_json("studies/scaling.json")["runs"][0]
    assert scaling.run(16, 400, 0)["loss"] == pytest.approx(shipped["loss"], abs=0.05)
