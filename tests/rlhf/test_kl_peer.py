"""TRL's price on the KL: k3 in GRPO's loss, with and without the ratio, k1 in RLOO's reward."""

import copy

import pytest
import torch

from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import adamw, next_token_loss, update
from llmrl.policy import group_peer
from llmrl.policy.relatives import RLOO, leashed_rewards
from llmrl.policy.surrogate import GRPO, averaged, ratios, relative
from llmrl.rlhf.kl import k3
from llmrl.toy import checkpoints

BETA, QUESTION = 0.5, [[{"role": "user", "content": "Tell me about Velo."}]]


@pytest.fixture(scope="module")
def models():
    """A reference, and a policy two steps away from it."""
    reference = checkpoints.load("sft")
    policy = copy.deepcopy(reference)
    text = torch.tensor([checkpoints.tokenizer().encode("Many went there. So they say.")])
    optimizer = adamw(policy, 1e-3)
    for _ in range(2):
        update(policy, optimizer, next_token_loss(policy, text, torch.ones_like(text, dtype=torch.bool)))
    return policy, reference


def run(models, kind, **options):
    """What TRL saw when nothing is paid but the KL: its inputs, our rows of them, log-probabilities, its loss."""
    policy, reference = models
    trainer = group_peer.their_trainer(
        policy, QUESTION, lambda text: 0.0, kind, checkpoints.folder("sft"), beta=BETA, num_generations=4,
        per_device_train_batch_size=4, max_completion_length=24, learning_rate=1e-3, seed=0, **options,
    )  # fmt: skip
    for inputs, weights, loss in group_peer.watched(trainer):
        ids, mask, old = group_peer.as_rows(inputs)
        with torch.no_grad():
            logp, ref_logp = (token_logp(model(ids), ids) for model in (weights, reference))
        yield inputs, mask[:, 1:], logp, ref_logp, old, loss


@pytest.mark.slow
@pytest.mark.parametrize("corrected", [True, False])
def test_grpo_has_k3_in_its_loss(models, corrected):
    steps = list(run(models, "GRPO", loss_type="grpo", num_iterations=2, max_steps=2, use_bias_correction_kl=corrected))
    assert len(steps) == 2
    for _, told, logp, ref_logp, old, loss in steps:
        weight = ratios(logp, old, told)
        price = k3(logp, ref_logp) * (weight if corrected else 1)
        assert BETA * averaged(price, told, GRPO).item() == pytest.approx(loss, abs=1e-5)
    assert (weight - 1).abs().max() > 1e-3


@pytest.mark.slow
def test_rloo_has_k1_in_its_reward(models):
    ((inputs, told, logp, ref_logp, _, _),) = run(models, "RLOO", max_steps=1)
    paid = leashed_rewards(torch.zeros(len(told)), logp, ref_logp, told, BETA)
    torch.testing.assert_close(inputs["advantages"], relative(paid[None], RLOO)[0], atol=1e-4, rtol=1e-4)
