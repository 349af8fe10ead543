"""The study of DPO training: it is shipped whole, its losses are what they are called, and a small run works."""

from dataclasses import replace

import pytest
import torch
from tiny import PAIRS, bpe, talker

from llmrl.preference import cures, methods
from llmrl.preference.losses import dpo as dpo_loss
from llmrl.preference.train import Batch, reference_logp, rendered
from llmrl.studies import dpo
from llmrl.toy import checkpoints, files, tasks

SHIPPED = files.read_json("studies/dpo.json")


def test_what_is_shipped_is_complete():
    assert set(SHIPPED) == {"start", "start panel", *dpo.RUNS}
    for name, run in dpo.RUNS.items():
        assert len(SHIPPED[name]) == dpo.SEEDS
        for found in SHIPPED[name]:
            assert tuple(point["step"] for point in found["points"]) == run.points
            assert set(found["panel"]) == set(tasks.MAKERS) == set(SHIPPED["start panel"])


def test_the_start_can_be_measured_again():
    model = checkpoints.load("sft")
    measured = dpo.rounded(dpo.panel(model))
    assert all(abs(measured[task] - share) < 0.11 for task, share in SHIPPED["start panel"].items())


@pytest.fixture(scope="module")
def batch():
    rows = rendered(PAIRS, bpe())
    return Batch(talker(1), rows, reference_logp(talker(2), rows), torch.arange(3))


def test_the_losses_are_the_librarys(batch):
    four = (*batch.logp(0, 1), *batch.ref_logp(0, 1))
    chosen, rejected = batch.length(0, 1)
    torch.testing.assert_close(methods.dpo(0.1)(batch), dpo_loss(*four, 0.1))
    torch.testing.assert_close(dpo.rpo(0.1)(batch), cures.rpo(*four, chosen, 0.1, 1.0))
    torch.testing.assert_close(dpo.dpop(0.1)(batch), cures.dpop(*four, 0.1, 5.0))
    ratios = four[0] - four[2], four[1] - four[3]
    torch.testing.assert_close(dpo.per_token(5.0)(batch), cures.per_token(*ratios, chosen, rejected, 5.0))


def test_even_pulls_as_dpo_does_before_the_first_step_and_never_less():
    model, rows = talker(1), rendered(PAIRS, bpe())

    def gradient(loss, reference):
        seen = Batch(model, rows, reference, torch.arange(3))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss(seen).mean(), list(model.parameters()))])

    start = reference_logp(model, rows)
    torch.testing.assert_close(gradient(dpo.even(0.1), start), gradient(methods.dpo(0.1), start), atol=1e-5, rtol=1e-3)
    won = start - torch.tensor([200.0, -200.0])  # a reference that had every pair the wrong way round
    assert gradient(methods.dpo(0.1), won).norm() < 1e-3 < gradient(dpo.even(0.1), won).norm()


@pytest.mark.slow
def test_a_small_run(monkeypatch):
    for name, size in {"STEPS": 2, "PAIRS": 16, "TESTED": 8, "ASKED": 4, "ITEMS": 12}.items():
        monkeypatch.setattr(dpo, name, size)
    monkeypatch.setattr(dpo.learned, "__defaults__", (16,))
    found = dpo.one(replace(dpo.RUNS["DPOP, minimal"], points=(1, 2)), 0)
    assert [point["step"] for point in found["points"]] == [1, 2] and found["points"][1]["kl"] > 0
    assert {"chosen", "rejected", "accuracy", "fell"} == set(found["fresh"]) == set(found["learned"])
