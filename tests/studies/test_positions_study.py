"""The study of positions: its measures by hand, shipped models against shipped numbers, all of it in miniature."""

import dataclasses
import json

import pytest
import torch

from llmrl.studies import positions as study
from llmrl.studies.kept import Kept
from llmrl.toy import files


def test_buckets_are_means_over_windows_and_positions():
    loss = torch.arange(1.0, 8.0).expand(2, 7) + torch.tensor([[0.0], [1.0]])  # positions 1 to 7 of two windows
    assert study.bucketed(loss, 4) == [2.5, 6.0]  # positions 1, 2, 3 and 4, 5, 6, 7


def test_windows_cover_a_text_from_end_to_end():
    rows = study.windows(torch.arange(100), 10, 4)
    assert rows[:, 0].tolist() == [0, 30, 60, 90] and (rows.diff(dim=1) == 1).all()


def test_the_misprints_speed_slow_pairs_up_and_the_formulas_slow_them():
    c = study.config("rope")
    theta = study.frequencies(c.head_width, c.rope_base)
    for new in study.misprints(c.head_width, c.rope_base, 4).values():
        assert new[0] == theta[0] and new[-1] > 3 * theta[-1]
    for name, scheme in study.schemes(c):
        if "misprinted" not in name:
            assert scheme.frequencies[-1] < 0.6 * theta[-1]


SLOW = [pytest.param(scheme, marks=pytest.mark.slow) for scheme in ("sinusoidal", "alibi")]


@pytest.mark.parametrize("scheme", ["rope", *SLOW])
def test_the_shipped_models_give_the_shipped_numbers(scheme):
    rows = study.windows(study.read("heldout.txt"))
    shipped = files.read_json(study.RESULT)["losses"][scheme][0]
    assert study.bucketed(study.losses(study.load(scheme), rows)) == pytest.approx(shipped, abs=0.01)


@pytest.mark.slow
def test_all_of_it_in_miniature(tmp_path, monkeypatch):
    shipped = {}
    monkeypatch.setattr(study, "TRAINING", dataclasses.replace(study.TRAINING, steps=2, warmup=1))
    monkeypatch.setattr(study, "TUNING", dataclasses.replace(study.TUNING, steps=2, warmup=1))
    monkeypatch.setattr(study, "SEEDS", 1)
    monkeypatch.setattr(study, "windows", lambda ids: ids[: 2 * study.LENGTH].view(2, -1))
    monkeypatch.setattr(files, "ship", shipped.__setitem__)
    kept = Kept(tmp_path / "positions.json")
    study.make(kept)
    losses = json.loads(shipped[study.RESULT])["losses"]
    assert losses.keys() == files.read_json(study.RESULT)["losses"].keys() and len(losses["rope"][0]) == 32
    assert len(shipped[study.MODELS]) < 900_000
    monkeypatch.setattr(study, "trained", None)  # what is kept is not computed again
    study.make(kept)
