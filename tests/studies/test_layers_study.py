"""What the study of layers ships is what its code makes."""

import pytest
import torch
from safetensors.torch import load_file

from llmrl import seeds
from llmrl.lm import copying
from llmrl.lm.training import Plan
from llmrl.studies import layers
from llmrl.toy import files
from llmrl.toy.make import SEED

SHIPPED = files.read_json("studies/layers.json")


def test_every_run_is_there():
    assert set(SHIPPED["norms"]) == {f"{p} {lr:g} {warmup}" for p in ("pre", "post") for lr, warmup in layers.RUNS}
    assert all(len(runs) == 3 and {len(run) for run in runs} == {240} for runs in SHIPPED["norms"].values())
    assert set(SHIPPED["networks"]) == {f"{kind} {first}" for kind in layers.KINDS for first in ("small", "xavier")}
    assert all(len(runs) == 5 and {len(run) for run in runs} == {3} for runs in SHIPPED["networks"].values())
    assert all(len(run) == len(layers.LENGTHS) for runs in SHIPPED["copies"].values() for run in runs)


@pytest.mark.parametrize("place", ["pre", "post"])
def test_a_run_begins_as_it_was_shipped(place):
    run = layers.norm_run(layers.text(), place, Plan(steps=240, lr=layers.FAST, warmup=0), SEED, "norm", 0)
    began = [record["loss"] for _, record in zip(range(4), run)]
    assert began == pytest.approx(SHIPPED["norms"][f"{place} 0.003 0"][0][:4], abs=0.02)


@pytest.mark.parametrize("kind", layers.COPIERS)
def test_a_shipped_model_copies_as_well_as_it_says(kind):
    model = layers.copier(kind)
    model.load_state_dict(load_file(files.path(f"studies/layers_{kind}.safetensors")))
    for place in (3, 9):
        n = layers.LENGTHS[place]
        found = copying.copied(model, n, seeds.rng(SEED, "copied", n))
        assert found == pytest.approx(SHIPPED["copies"][kind][0][place], abs=0.01)
    assert 24_000 < sum(p.numel() for p in model.parameters()) < 28_000


def test_held_out_loss_is_the_mean_over_windows_side_by_side():
    class Even(torch.nn.Module):
        def forward(self, ids):
            return torch.zeros(*ids.shape, 512)

    assert layers.held_out(Even(), list(range(200))) == pytest.approx(torch.tensor(512.0).log().item())
