"""What the study of batches ships is what its code makes."""

import pytest
import torch

from llmrl.studies import batches
from llmrl.toy import checkpoints, files

SHIPPED = files.read_json("studies/batches.json")


def test_every_run_is_there():
    assert set(SHIPPED["found"]) == {f"{size} {lr:g}" for size in batches.SIZES for lr in batches.RATES}
    for runs in SHIPPED["found"], SHIPPED["few"]:
        assert all(len(seeds) == batches.SEEDS for seeds in runs.values())
    assert set(SHIPPED["few"]) == set(SHIPPED["found"])
    assert set(SHIPPED["losses"]) == set(batches.LOSSES)
    assert all(len(run) == 3 for runs in SHIPPED["losses"].values() for run in runs)
    assert all(len(found) == 13 for runs in SHIPPED["found"].values() for found in runs)


def test_the_control_differs_from_the_runs_in_the_number_of_steps():
    same = {key for key, runs in SHIPPED["few"].items() if runs == SHIPPED["found"][key]}
    assert same == {f"64 {lr:g}" for lr in batches.RATES}  # their 16 steps are the few


def test_every_text_alike_is_the_mean_of_means_and_glued_reads_a_row_as_one_text():
    model, (ids, segments, labels) = checkpoints.load("sft"), batches.drawn(6, "test")(0)
    alone = []
    for row, numbers, said in zip(ids, segments, labels):
        for n in numbers[numbers > 0].unique():
            here = numbers == n
            logits = model(row[here][None])[:, :-1]
            alone.append(torch.nn.functional.cross_entropy(logits[0], said[here][1:]))
    found = batches.each_text_alike(model, ids, segments, labels)
    torch.testing.assert_close(found, torch.stack(alone).mean(), atol=1e-5, rtol=1e-5)
    glued = torch.nn.functional.cross_entropy(model(ids)[:, :-1].flatten(0, 1), labels[:, 1:].flatten())
    torch.testing.assert_close(batches.glued_loss(model, ids, segments, labels), glued, atol=1e-4, rtol=1e-4)


def test_batches_hold_every_conversation_once():
    batch = batches.drawn(4, "test", 1)
    first, second = batch(0)[0], batch(1)[0]
    assert first.shape[1] == batches.ROOM and not torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(batch(1), batches.drawn(4, "test", 1)(1)))


@pytest.mark.slow
def test_a_run_of_the_study_made_again():
    for size, key, steps in ((64, "found", None), (4, "few", batches.FEW)):
        found, shipped = batches.rate_run(size, 8e-3, 1, steps), SHIPPED[key][f"{size} 0.008"][1]
        assert sum(found.values()) / 13 == pytest.approx(sum(shipped.values()) / 13, abs=0.1)
