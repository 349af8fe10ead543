"""What the study of LoRA ships is what its code makes."""

import pytest
import torch

from llmrl.studies import lora as study
from llmrl.toy import checkpoints, files
from llmrl.tuning import lora

SHIPPED = files.read_json("studies/lora.json")


def test_every_setting_has_its_seeds():
    assert set(SHIPPED) == {key for key, _ in study.settings()}
    assert all(len(runs) == len(study.SEEDS) for runs in SHIPPED.values())
    asked = [run for key, runs in SHIPPED.items() if key != "spectrum" and not key.startswith("marks") for run in runs]
    assert all(0 <= run["known"] <= 1 and run["loss"] > 0 for run in asked)


def test_spectra_are_shares_of_every_matrix():
    names = {name for name, module in checkpoints.load("sft").named_modules() if isinstance(module, torch.nn.Linear)}
    for run in SHIPPED["spectrum"]:
        assert set(run["energy"]) == names and set(run["cut"]) == {str(rank) for rank in (0, *study.KEPT)}
        assert all(shares[-1] == pytest.approx(1, abs=1e-3) for shares in run["energy"].values())


def test_a_model_cut_to_full_rank_is_itself_and_to_nothing_has_its_old_matrices():
    tuned, base = checkpoints.load("sft"), checkpoints.load("base")
    ids = torch.tensor([[3, 40, 41, 42]])
    torch.testing.assert_close(study.cut(tuned, base, 128)(ids), tuned(ids), atol=1e-3, rtol=1e-4)
    bare = study.cut(tuned, base, 0)
    assert torch.equal(bare.layers[1].ffn.up.weight, base.layers[1].ffn.up.weight)
    assert torch.equal(bare.embed.weight, tuned.embed.weight)


def test_an_adapted_model_begins_as_the_tuned_one():
    ids = torch.tensor([[3, 40, 41, 42]])
    model = study.adapted(0, rank=2, where="ffn", start="sqrt")
    assert torch.equal(model(ids), checkpoints.load("sft")(ids))
    assert lora.trainable(model) == lora.added(model.config, 2, lora.FFN)
    again = study.adapted(0, rank=2, where="ffn", start="sqrt")
    assert all(torch.equal(a.A, b.A) for a, b in zip(lora.adapters(model).values(), lora.adapters(again).values()))


@pytest.mark.slow
def test_a_run_ends_as_it_was_shipped():
    found = study.lora_run(study.RATE, 0, rank=1, where="attention")
    assert found["known"] == pytest.approx(SHIPPED["attention 1 0.01"][0]["known"], abs=0.08)
