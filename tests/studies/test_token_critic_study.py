"""The study of critic and group: what is shared by repeats is measured without bias; the shipped file is whole."""

import pytest
import torch

from llmrl.seeds import rng
from llmrl.studies import token_critic as study
from llmrl.toy import files


def test_what_repeats_share_is_their_mean():
    generator, mean = rng(0), torch.zeros(50)
    mean[:2] = torch.tensor([3.0, 4.0])
    found = [
        study.shared((x := mean + 5 * torch.randn(8, 50, generator=generator)) @ x.T) for _ in range(400)
    ]  # eight repeats of a gradient of squared length 25, in noise of squared length 1,250
    error = torch.tensor(found).std() / 400**0.5
    assert abs(sum(found) / 400 - 25) < 4 * error
    assert study.shared(torch.tensor([[9.0, 2.0], [2.0, 9.0]])) == pytest.approx(2.0)


def test_the_shipped_study_has_every_run():
    found = files.read_json("studies/token_critic.json")
    assert list(found["runs"]) == list(study.METHODS) and list(found["noise"]) == [str(G) for G in study.SIZES]
    for name, runs in found["runs"].items():
        assert len(runs) == study.SEEDS
        for run in runs:
            assert len(run["records"]) == study.PLAN.steps and run["seconds"] > 0
            assert all(0 <= record["reward"] <= 1 for record in run["records"])
            assert ("foreseen" in run["records"][0]) == name.startswith("PPO")
    for point in found["noise"].values():
        assert point["length"] > 1 and 0 < point["error"] < point["length"] and 0 <= point["mixed"] <= 1
