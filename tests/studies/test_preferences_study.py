"""What the study of preference losses ships is what its code makes, and its labels and settings are what it says."""

import pytest

from llmrl.studies import preferences as study
from llmrl.toy import files, preferences

SHIPPED = files.read_json("studies/preferences.json")


def test_every_run_is_there():
    wanted = {(n, p, s) for n, m in study.METHODS.items() for p in m.noise for s in range(study.SEEDS)}
    assert {(row["method"], row["noise"], row["seed"]) for row in SHIPPED["runs"]} == wanted
    assert len(SHIPPED["runs"]) == len(wanted)
    assert {(r["method"], r["labels"]) for r in SHIPPED["lengths"]} == {
        (m, k) for m in ("DPO", "SimPO") for k in study.LENGTH
    }
    assert len(SHIPPED["lengths"]) == 6 * study.SEEDS and len(SHIPPED["again"]) == 12 and len(SHIPPED["more"]) == 6
    assert [row["seed"] for row in SHIPPED["seeds"]] == list(range(study.SEEDS, study.SEEDS + 6))
    assert all(len(tried) == 5 for tried in SHIPPED["tries"].values()) and len(SHIPPED["before"]) == study.SEEDS


def test_the_settings_follow_from_the_tries():
    found = study.best_of(SHIPPED["tries"])
    assert {name: list(setting) for name, setting in found.items()} == SHIPPED["best"]
    assert found["cDPO"] == found["robust DPO"] == found["DPO"]


def test_among_tries_that_are_alike_the_one_that_moved_least_is_taken():
    tried = [
        {"dial": d, "rate": 1.0, "gold": g, "error": 0.1, "kl": k}
        for d, g, k in ((1, 1.0, 9), (2, 0.95, 3), (3, 0.8, 1))
    ]
    assert study.best_of({"DPO": tried})["DPO"] == (2, 1.0)


def test_every_method_saw_as_many_answers():
    for row in SHIPPED["runs"]:
        sides = 1 if row["method"] == "SFT" else 2
        assert row["trained"] == sides * study.STEPS * study.BATCH
        assert row["watched"] == (row["trained"] if row["method"] in ("KTO", "TR-DPO") else 0)
        assert 0 <= row["win"] <= 1 and row["kl"] > 0 and 0.02 < row["error"] < 0.2


def test_a_pair_that_is_wrong_stays_wrong_when_more_are_flipped():
    sets = []
    for noise in study.NOISE:
        rows = preferences.pairs(study.PAIRS, "nested", preferences.Labels(noise=noise))
        sets.append({i for i, row in enumerate(rows) if row["gold_chosen"] < row["gold_rejected"]})
    assert all(few <= more for few, more in zip(sets, sets[1:])) and not sets[0]
    assert 0.3 < len(sets[-1]) / study.PAIRS < 0.5


@pytest.mark.slow
def test_a_run_can_be_made_again():
    shipped = next(r for r in SHIPPED["runs"] if (r["method"], r["noise"], r["seed"]) == ("SFT", 0.0, 0))
    found = study.run("SFT", *SHIPPED["best"]["SFT"], preferences.Labels(), 0)
    assert found["gold"] == pytest.approx(shipped["gold"], abs=4 * shipped["error"])
    assert found["kl"] == pytest.approx(shipped["kl"], rel=0.4) and found["trained"] == shipped["trained"]
