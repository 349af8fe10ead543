"""What the study of single verdicts ships is what its code makes, and its answers are judged as it says."""

import pytest

from llmrl.studies import verdicts as study
from llmrl.toy import checkpoints, files

SHIPPED = files.read_json("studies/verdicts.json")["runs"]


def test_every_run_is_there():
    wanted = {(arm, seed) for arm in ("before", *study.ARMS) for seed in range(study.SEEDS)}
    assert {(row["arm"], row["seed"]) for row in SHIPPED} == wanted and len(SHIPPED) == len(wanted)
    assert all(0 <= row["ranked"] <= 1 and 0.02 < row["error"] < 0.2 for row in SHIPPED)
    assert all(row["ranked"] == 0 for row in SHIPPED if row["arm"] == "before")  # nothing has moved yet


@pytest.mark.parametrize("arm", list(study.ARMS))
def test_so_many_are_good_and_no_two_are_from_one_pair(arm):
    good, bad, _ = study.ARMS[arm]
    rows, verdicts = study.verdict_rows("a test", good, bad)
    assert (verdicts.sum(), (~verdicts).sum()) == (good, bad) and len(rows) == good + bad
    everything, _ = study.verdict_rows("a test", good + bad, 0)
    assert rows[:good] == everything[:good] and all(a != b for a, b in zip(rows[good:], everything[good:]))


@pytest.mark.slow
def test_a_run_can_be_made_again():
    shipped = next(row for row in SHIPPED if (row["arm"], row["seed"]) == ("SFT on the good", 0))
    found = study.run("SFT on the good", 0)
    assert found["gold"] == pytest.approx(shipped["gold"], abs=4 * shipped["error"])
    assert found["ranked"] == pytest.approx(shipped["ranked"], abs=0.1)


@pytest.mark.slow
def test_the_loss_is_ktos_and_notes_its_reference_points():
    _, points = study.learn("one in ten bad", "a test", checkpoints.load("sft"))
    assert len(points) == study.PLAN.steps and min(points) == 0.0 == points[0]
