"""What the study of supervised tuning ships is what its code makes."""

from itertools import islice

import pytest

from llmrl.studies import sft as study
from llmrl.toy import files
from llmrl.tuning import sft

SHIPPED = files.read_json("studies/sft.json")


def test_every_run_is_there():
    assert set(SHIPPED["curves"]) == {f"{size} {learned}" for size in study.SIZES for learned in study.LEARNED}
    every = study.EVERY * study.FEW // study.BATCH
    steps = [*range(0, study.PLAN.steps + 1, every)]
    assert all([r["step"] for r in run] == steps for runs in SHIPPED["curves"].values() for run in runs)
    assert all(len(runs) == len(study.SEEDS) for runs in SHIPPED["curves"].values())
    assert set(SHIPPED["arms"]) == set(study.ARMS)
    assert all(len(runs) == len(study.MORE) for runs in SHIPPED["arms"].values())
    assert all([r["step"] for r in run] == list(study.LOOK) for runs in SHIPPED["arms"].values() for run in runs)


def test_all_runs_of_a_size_see_the_same_conversations_and_other_seeds_others():
    few = study.conversations("few", 0)
    assert len(few) == study.FEW and few == study.conversations("few", 0) != study.conversations("few", 1)
    assert study.conversations("many", 0)[: study.FEW] == few


def test_masks_of_prompts_and_of_everything():
    rows = [([1, 2, 3], [False, True, True])]
    assert study.everything(rows) == [([1, 2, 3], [True] * 3)]
    assert study.prompts(rows) == [([1, 2, 3], [True, False, False])]


def test_numbers_are_kept_to_four_digits():
    assert study.rounded({"a": 0.123456, "b": [1, None, 0.00004]}) == {"a": 0.1235, "b": [1, None, 0.0]}


@pytest.mark.slow
def test_a_curve_begins_as_it_was_shipped():
    found = list(islice(study.curve("few", "answers", 0, n=12), 2))
    for record, earlier in zip(found, SHIPPED["curves"]["few answers"][0]):
        assert record["train"] == pytest.approx(earlier["train"], abs=0.05)


@pytest.mark.slow
def test_an_arm_begins_as_it_was_shipped():
    found = list(islice(study.knowing(*study.ARMS["do not know"], 0), 2))
    for record, earlier in zip(found, SHIPPED["arms"]["do not know"][0]):
        for group in ("known", "unknown", "learned"):
            assert record[group] == pytest.approx(earlier[group], abs=0.1)


def test_the_measured_samples_are_rendered_conversations():
    talks = study.conversations("few", 0)
    assert all(any(mask) and len(ids) == len(mask) for ids, mask in sft.samples(talks))
