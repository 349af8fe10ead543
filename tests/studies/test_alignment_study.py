"""The study of two roads: what it measures, what it counts, and that what is shipped is complete."""

from dataclasses import replace

import pytest

from llmrl.lm.training import Plan
from llmrl.studies import alignment
from llmrl.toy import checkpoints, files

ROADS = ["dpo 0.1", "dpo 0.5", "rlhf 0.1", "rlhf 0.5", "chosen"]


def test_what_is_shipped_is_complete():
    shipped = files.read_json("studies/alignment.json")
    assert list(shipped) == ["start", *ROADS]
    assert all(len(runs) == alignment.SEEDS for runs in shipped.values())
    for road in ROADS:
        for run in shipped[road]:
            assert len(run["points"]) == alignment.POINTS and run["points"][-1]["kl"] > 0
            assert run["samples"] == (2560 if "rlhf" in road else 0)
            assert sorted(run["passes"]) == {"d": ["policy", "reference"], "r": ["policy", "reference", "reward"],
                                             "c": ["policy"]}[road[0]]  # fmt: skip


def test_both_roads_and_all_strengths_get_the_same_votes():
    assert alignment.labelled(0, 8)[0] == alignment.labelled(0, 8)[0] != alignment.labelled(1, 8)[0]
    assert alignment.PAIRS == alignment.ONE_PASS.steps * alignment.BATCH


def test_a_run_is_followed_to_its_points():
    model = checkpoints.load("sft")
    points, _ = alignment.followed(iter(range(8)), 8, model)
    assert [step for step, _ in points] == [2, 4, 6, 8]
    points[0][1]["norm.weight"].zero_()
    assert model.norm.weight.any()  # a copy was kept


@pytest.mark.slow
def test_both_roads_in_small(monkeypatch):
    monkeypatch.setattr(alignment, "ASKED", 4)
    short = Plan(steps=4, lr=5e-4, warmup=1)
    monkeypatch.setattr(alignment, "ONE_PASS", short)
    monkeypatch.setattr(alignment.fit, "__defaults__", (short,))
    monkeypatch.setattr(alignment, "GROUP", replace(alignment.GROUP, steps=4, prompts=2, answers=2, max_new=8))
    monkeypatch.setattr(alignment, "labelled", lambda seed, n=16, own=alignment.labelled: own(seed, 16))
    direct, chased = alignment.direct(0, 0.5), alignment.by_reward(0, 0.1)
    assert direct["passes"]["reference"]["learned"] == 0 == direct["samples"]
    assert direct["passes"]["policy"]["read"] == direct["passes"]["policy"]["learned"]
    assert chased["samples"] == 16 and chased["passes"]["policy"]["read"] > chased["passes"]["policy"]["learned"] > 0
    assert 0 <= chased["agreement"] <= 1 and len(alignment.imitation(0)["points"]) == 4
