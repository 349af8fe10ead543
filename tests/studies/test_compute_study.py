"""The study of samples and sizes: what was shipped fits together, and a shipped model answers as it says."""

import numpy as np
import pytest

from llmrl.lm.size import parameters
from llmrl.seeds import rng
from llmrl.studies import compute
from llmrl.toy import files, tasks


@pytest.fixture(scope="module")
def found():
    return files.read_json("studies/compute.json")


def test_every_size_answered_the_same_questions(found):
    truth = np.array([int(item.answer) for item in compute.questions()])
    assert list(map(int, found)) == list(compute.WIDTHS)
    for width, about in found.items():
        right, number, tokens = (np.array(about[name]) for name in ("right", "number", "tokens"))
        assert right.shape == number.shape == tokens.shape == (compute.QUESTIONS, compute.SAMPLES)
        assert (right == (number == truth[:, None])).all()
        assert about["parameters"] == sum(parameters(compute.config(int(width))).values())
        assert tokens.min() >= 1 and tokens.max() <= compute.LIMIT


def test_the_questions_are_held_out_and_of_three_kinds():
    items = compute.questions(9)
    assert all(tasks.held_out(item.prompt) for item in items)
    digits = [len(item.prompt.split("+")[0].split()[-1]) for item in items]
    assert digits == [1] * 3 + [2] * 3 + [3] * 3


@pytest.mark.parametrize("width", compute.SHIPPED)
def test_a_shipped_model_answers_as_it_says(found, width):
    items = compute.questions()
    again = compute.sampled(compute.load(width), items, 2, rng(1, "again"))
    gap = np.mean(again["right"]) - np.mean(found[str(width)]["right"])
    assert abs(gap) < 0.12
    with pytest.raises(ValueError, match="the weights of width 80 are not shipped"):
        compute.load(80)


def test_a_model_is_trained_and_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(compute, "STEPS", 3)
    monkeypatch.setattr(compute, "SUMS", 90)
    losses = compute.trained(48, tmp_path / "a" / "model.safetensors")
    assert len(losses) == 1 and 4 < losses[0] < 8
    assert compute.read(48, tmp_path / "a" / "model.safetensors").config == compute.config(48)
