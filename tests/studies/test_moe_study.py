"""The study of experts: its variants differ in what they say, and what is shipped is what it makes."""

from itertools import islice

import pytest
import torch

from llmrl.lm.balance import effective
from llmrl.lm.moe import layers_of
from llmrl.studies import moe
from llmrl.toy import files


def test_all_variants_have_two_layers_and_the_same_attention():
    models = {name: moe.build(kind, 0) for name, (kind, _, _) in moe.VARIANTS.items()}
    for name, model in models.items():
        assert len(layers_of(model)) == (2 if "top" in name else 0)
        assert torch.equal(model.layers[0].attention.q.weight, models["dense"].layers[0].attention.q.weight)
    matrices = {name: sum(p.numel() for p in models[name].layers[0].ffn.parameters()) for name in models}
    assert matrices["dense, twice as wide"] == 2 * matrices["dense"]
    assert matrices["top-1"] == matrices["top-2"] == 16 * matrices["dense"] + 16 * moe.CONFIG.width


def test_what_is_shipped_is_complete():
    shipped = files.read_json("studies/moe.json")
    assert list(shipped["variants"]) == list(moe.VARIANTS) and shipped["every"] == moe.EVERY
    for name, runs in shipped["variants"].items():
        assert len(runs) == moe.SEEDS and all(0.5 < run["loss"] < 2 for run in runs)
        for run in runs if "top" in name else ():
            assert len(run["effective"]) == moe.STEPS // moe.EVERY
            assert all(sum(load) == pytest.approx(1, abs=2e-3) for load in run["load"])


@pytest.mark.slow
def test_its_beginning_made_again():
    loads = islice(moe.learn(moe.build(moe.ONE, 0), 0, 0.0, 0.0, moe.STEPS), moe.EVERY)
    again = torch.stack([effective(torch.stack(step)) for step in loads]).mean(0)
    recorded = torch.tensor(files.read_json("studies/moe.json")["variants"]["top-1"][0]["effective"][0])
    torch.testing.assert_close(again, recorded, rtol=0, atol=0.5)
