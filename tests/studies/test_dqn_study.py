"""What the study of DQN ships is what its code makes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrl.rl.dqn import td_loss
from llmrl.rl.q_networks import QNetwork
from llmrl.rl.replay import Batch
from llmrl.seeds import rng
from llmrl.studies import dqn
from llmrl.toy import files
from llmrl.toy.make import SEED

SHIPPED = files.read_json("studies/dqn.json")


def test_every_run_is_there():
    assert set(SHIPPED["arms"]) == set(dqn.ARMS) and len(SHIPPED["peers"]) == dqn.PEERS
    for name, arm in SHIPPED["arms"].items():
        for key in ("score", "predicted", "realised"):
            assert np.shape(arm[key]) == (15, dqn.LEARNERS * dqn.THRICE.get(name, 1))
        assert np.max(arm["realised"]) <= 100 and np.max(arm["score"]) <= 500
    assert all(len(run["last"]) == 100 for run in SHIPPED["peers"])


def test_learners_of_joined_runs_lie_side_by_side():
    one = {"step": [1, 2], "score": [[1.0], [2.0]], "predicted": [[3.0], [4.0]], "realised": [[5.0], [6.0]]}
    assert dqn.more([one, one])["score"] == [[1.0, 1.0], [2.0, 2.0]]


def test_a_mistaken_end_changes_truncated_transitions_alone():
    network, frozen = (QNetwork((4, 8, 2), 1, rng(0, name)) for name in ("a", "b"))
    ends = torch.tensor([[0.0, 1.0, 0.0, 1.0]]), torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    batch = Batch(
        torch.randn(1, 4, 4), torch.zeros(1, 4, dtype=torch.long), torch.ones(1, 4), torch.randn(1, 4, 4), *ends
    )
    wrong, right = dqn.ended(td_loss)(network, frozen, batch), td_loss(network, frozen, batch)
    assert ((wrong - right).abs() > 1e-6).tolist() == [[False, False, True, False]]
    cut = replace(batch, terminated=torch.tensor([[0.0, 1.0, 1.0, 1.0]]))
    torch.testing.assert_close(wrong, td_loss(network, frozen, cut))


@pytest.mark.slow
def test_a_run_of_the_study_made_again():
    """Its first examinations; later ones may differ by what rounding grows to on another machine."""
    found = dqn.run(SEED, **(dqn.ARMS["no target network"] | {"config": replace(dqn.NONE, steps=1500)}))
    shipped = SHIPPED["arms"]["no target network"]
    assert found["step"] == shipped["step"][:2]
    np.testing.assert_allclose(found["predicted"], shipped["predicted"][:2], rtol=0.2)
