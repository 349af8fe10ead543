"""The study of R1: what is asked lies where it should, every run was shipped whole."""

import pytest

from llmrl.reasoning import r1
from llmrl.studies import r1 as study
from llmrl.toy import files, tasks


def lengths(items):
    return {tuple(map(len, item.prompt[8:-1].split("+"))) for item in items}


def test_every_set_is_held_out_and_of_its_kind():
    for name, kinds in study.SETS.items():
        items = study.test_set(name)
        assert len(items) == study.ITEMS and lengths(items) == set(kinds)
        assert all(tasks.held_out(item.prompt) for item in items)


def test_training_never_asks_what_is_held_out():
    asked = study.three(0, 16, 3) + study.ladder_at(0, 3) + study.two_lengths_at(0, 3) + study.four_at(0, 3)
    assert len(asked) == 64 and not any(tasks.held_out(item.prompt) for item in asked)
    assert lengths(study.two_lengths_at(0, 0)) == set(r1.MIXED)
    assert lengths(study.ladder_at(0, 0)) == {(3, 3), *r1.MIXED}


def whole(run, steps):
    assert len(run["records"]) == steps and run["seconds"] > 0
    for record in run["records"]:
        assert all(0 <= record[name] <= 1 for name in ("right", "formed", "steps")) and record["length"] >= 0


@pytest.fixture(scope="module")
def shipped():
    return files.read_json("studies/r1.json")


def test_the_shipped_runs_are_whole(shipped):
    assert len(shipped["runs"]) == study.SEEDS
    for run in shipped["runs"]:
        whole(run["zero"], r1.ZERO.steps)
        whole(run["ladder"], study.LADDER.steps)
        whole(run["two lengths alone"], study.ALONE.steps)
        whole(run["four digits alone"], study.ALONE.steps)
    assert list(shipped["hacked"]) == list(study.RULES)
    for runs in shipped["hacked"].values():
        assert len(runs) == study.SEEDS
        for run in runs:
            whole(run, study.HACKED.steps)
    assert [len(run["records"]) for run in shipped["TRL"]] == [r1.ZERO.steps] * study.PEERS


def test_the_shipped_counts_are_whole(shipped):
    def counted(right, tries):
        assert list(right) == list(study.SETS)
        assert all(len(row) == study.ITEMS and 0 <= min(row) <= max(row) <= tries for row in right.values())

    counted(shipped["base"]["right"], study.BASE_TRIES)
    for run in shipped["runs"]:
        for who in ("zero", "ladder"):
            counted(run["right"][who], study.TRIES)
            assert all(max(row) <= 0 for row in run["depth"][who].values())  # logarithms of probabilities
        assert len(run["spoken"]["ladder"]["two digits"]) == study.ITEMS


def test_the_shipped_pipelines_have_every_stage(shipped):
    names = [stage.name for stage in r1.pipeline()]
    assert [[stage["stage"] for stage in run] for run in shipped["pipeline"]] == [names] * study.SEEDS
    assert len(shipped["without RL"]) == len(shipped["as many written"]) == study.SEEDS
    looks = [
        stage["exam"]
        for run in shipped["pipeline"] + shipped["without RL"] + shipped["as many written"]
        for stage in run
    ]
    for look in looks + shipped["base"]["exam"]:
        assert all(0 <= look[name] <= 1 for name in ("three digits", "mixed lengths", "other tasks", "formed"))
