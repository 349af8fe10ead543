"""The study of RLHF to its end: the shipped file is whole, text for measuring is never mixed in, a run in small."""

from dataclasses import replace

import pytest
import torch

from llmrl.studies import rlhf as study
from llmrl.toy import checkpoints, files


def test_the_shipped_study_has_every_run():
    found = files.read_json("studies/rlhf.json")
    assert list(found["runs"]) == list(study.ARMS) and list(found["kept"]) == ["base", "sft", "start"]
    assert len(found["start"]) == study.SEEDS
    for name, runs in found["runs"].items():
        assert len(runs) == study.SEEDS
        for run in runs:
            records = run["records"]
            assert len(records) == study.SAMPLE.steps and abs(records[0]["kl"]) < 1e-3
            assert [point["step"] for point in run["points"]] == [12, 24, 36]
            assert (records[0]["mixed"] > 0) == ("text" in name)
            assert set(run["kept"]["tasks"]) == set(study.tasks.MAKERS)
            moved = [record["beta"] for record in records]
            assert (len(set(moved)) > 1) == name.startswith("target")
            assert max(b / a for a, b in zip(moved, moved[1:]) if a) <= 1.11 if moved[0] else not any(moved)


def test_text_for_measuring_is_never_mixed_in():
    mixed, measured = study.corpus()
    whole = torch.tensor(checkpoints.tokenizer().encode_documents(files.read_text("corpus.txt")))
    assert torch.equal(torch.cat([mixed, measured]), whole) and 0.09 < len(measured) / len(whole) < 0.11
    rows = study.unread()
    assert rows.shape == (64, study.LENGTH) and len(set(map(tuple, rows.tolist()))) == 64


@pytest.mark.slow
def test_a_run_in_small(monkeypatch):
    for name, value in (("ASKED", 4), ("ITEMS", 12), ("WINDOWS", 2), ("JUDGE", replace(study.JUDGE, steps=2))):
        monkeypatch.setattr(study, name, value)
    monkeypatch.setattr(study, "votes", lambda seed, n, label="", labels=study.LABELS, own=study.votes: own(seed, 16))
    begin = checkpoints.load("sft")
    plan = study.ARMS["target 4, text"]
    plan = replace(plan, sample=replace(plan.sample, steps=3, prompts=4, max_new=8))
    found = study.run(plan, begin, 0)
    assert [point["step"] for point in found["points"]] == [1, 2, 3] and found["records"][0]["mixed"] > 0
    assert found["kept"]["text"] > 0 and all(0 <= share <= 1 for share in found["kept"]["tasks"].values())
    assert 0 <= study.beginning(begin, 0)["agreement"] <= 1
