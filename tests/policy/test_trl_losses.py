"""TRL's trainers beside the one surrogate: runs of their own, in which answers differ in length and ratios leave 1."""

from dataclasses import replace

import pytest
import torch

from llmrl.lm.logprobs import token_logp
from llmrl.policy import group_peer
from llmrl.policy.surrogate import DAPO, DR_GRPO, GRPO, Surrogate, averaged, ratios, relative, surrogate
from llmrl.toy import checkpoints, tasks

LIMIT = 40
SAME = {  # their options, our surrogate
    "grpo": ({"loss_type": "grpo"}, GRPO),
    "bnpo": ({"loss_type": "bnpo"}, Surrogate(average="token")),
    "dapo": ({"loss_type": "dapo", "epsilon_high": 0.28}, DAPO),
    "dr_grpo": ({"loss_type": "dr_grpo", "scale_rewards": "none"}, replace(DR_GRPO, length=LIMIT)),
    "gspo": ({"loss_type": "grpo", "importance_sampling_level": "sequence"}, Surrogate(level="sequence")),
    "gspo, every token": (
        {"loss_type": "bnpo", "importance_sampling_level": "sequence"}, Surrogate(level="sequence", average="token"),
    ),
    "batch": ({"loss_type": "grpo", "scale_rewards": "batch"}, Surrogate(scale="batch")),
    "cispo": ({"loss_type": "cispo", "epsilon_high": 1.5}, Surrogate(form="weight", low=1, high=0.5, average="token")),
}  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("reasoning_base")


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_the_loss_is_theirs(name, model):
    options, how = SAME[name]
    items, judged = tasks.items("add", 4, "beside TRL", digits=3), []

    def reward(text):
        judged.append(float(len(text) % 3))
        return judged[-1]

    trainer = group_peer.their_trainer(
        model, [item.messages()[:1] for item in items], reward, num_generations=4, num_iterations=3, max_steps=3,
        max_completion_length=LIMIT, learning_rate=2e-4, seed=1, **options,
    )  # fmt: skip
    seen = group_peer.watched(trainer)
    assert len(seen) == 3
    spread = []
    for inputs, weights, loss in seen:
        ids, mask, old_logp = group_peer.as_rows(inputs)
        told, logp = mask[:, 1:], token_logp(weights(ids), ids)
        objective = surrogate(logp, old_logp, inputs["advantages"], told, how)
        assert -averaged(objective, told, how).item() == pytest.approx(loss, abs=1e-5)
        spread.append((ratios(logp, old_logp, told)[told] - 1).abs().max().item())
        assert len({int(n) for n in told.sum(1)}) > 2
    assert spread[0] < 1e-4 and min(spread[1:]) > 0.1  # the first step is on policy, the others are not
    adv = relative(torch.tensor(judged).view(-1, 4), how).flatten()
    torch.testing.assert_close(inputs["advantages"].sort().values, adv.sort().values, atol=1e-5, rtol=1e-5)
