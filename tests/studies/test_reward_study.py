"""The study of reward models: what is shipped is complete, and a small run of every part measures the same things."""

from dataclasses import replace

import pytest

from llmrl.studies import reward
from llmrl.toy import files

ARMS = ["none", "words", "words, line taken off", "words, balanced pairs", "words, like lengths", "words, two heads",
        "small talk", "small talk, counterexamples"]  # fmt: skip


def test_what_is_shipped_is_complete():
    shipped = files.read_json("studies/reward.json")
    points = {(point["layers"], point["pairs"], point["seed"]) for point in shipped["scaling"]}
    assert points == {(layers, n, seed) for layers in reward.LAYERS for n in reward.STEPS for seed in range(2)}
    assert [list(seed) for seed in shipped["likings"]] == [ARMS] * reward.SEEDS
    assert [list(seed) for seed in shipped["judges"]] == [["fair", "first", "first, swapped"]] * reward.SEEDS
    for found in [*shipped["scaling"], *(arm for seed in shipped["likings"] for arm in seed.values())]:
        assert 0.4 < found["right"] < 1 and all(0 <= found[change]["wins"] <= 1 for change in reward.ASKED)


def test_what_is_measured_of_a_judge_written_by_hand(monkeypatch):
    """One that scores the number of tokens likes every longer answer, unless the right price is taken off."""
    import torch

    def length(rows):
        return torch.tensor([float(len(row)) for row in rows])

    found = reward.measured(length, 0)
    assert found["small talk"]["wins"] == found["third fact"]["wins"] == 1.0 and found["small talk"]["gap"] > 3
    assert reward.measured(length, 0, taken_off=100.0)["small talk"]["wins"] == 0.0
    assert reward.line_taken_off(length, 0) > 1  # tokens per word


@pytest.mark.slow
def test_every_part_in_small(monkeypatch):
    monkeypatch.setattr(reward, "PLAN", replace(reward.PLAN, steps=2, warmup=1))
    monkeypatch.setattr(reward, "PAIRS", 128)
    monkeypatch.setattr(reward.fitted, "__defaults__", (2, reward.PLAN))
    monkeypatch.setattr(reward, "STEPS", {64: 2})
    found = reward.likings(0)
    assert list(found) == ARMS and all(0 <= arm["right"] <= 1 for arm in found.values())
    assert 0 <= reward.sized(1, 64, 0)["right"] <= 1
