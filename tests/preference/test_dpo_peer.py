"""DPO training beside TRL's: precomputed reference, the cures it has, and the weights after some steps."""

import copy

import pytest
import torch
from tiny import PAIRS, TRL, peer_tokenizer, talker

from llmrl.lm.training import adamw, update
from llmrl.preference import cures
from llmrl.preference.losses import dpo
from llmrl.preference.train import Batch, reference_logp

BETA = 0.3


@pytest.fixture(scope="module")
def trl(tmp_path_factory):
    """A function (policy's seed, reference's seed or None for its table, options) -> TRL's trainer and its batch."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    folder = tmp_path_factory.mktemp("dpo")

    def make(policy, reference, **options):
        trainer = DPOTrainer(
            model=talker(policy).to_transformers(),
            ref_model=None if reference is None else copy.deepcopy(talker(reference).to_transformers()),
            args=DPOConfig(output_dir=str(folder), beta=BETA, per_device_train_batch_size=3, **options, **TRL),
            train_dataset=Dataset.from_list(PAIRS),
            processing_class=peer_tokenizer(folder),
        )
        return trainer, next(iter(trainer.get_train_dataloader()))

    return make


def rows(batch):
    """TRL's batch as our rows, in its order."""
    samples = [
        (ids[real].tolist(), mask[real].bool().tolist())
        for ids, mask, real in zip(batch["input_ids"], batch["completion_mask"], batch["attention_mask"].bool())
    ]
    return list(zip(samples[:3], samples[3:]))


def four(policy, reference, pairs):
    return [reference_logp(talker(seed), pairs)[:, side] for seed in (policy, reference) for side in (0, 1)]


@pytest.mark.slow
def test_the_precomputed_reference_is_ours(trl):
    trainer, batch = trl(2, None, precompute_ref_log_probs=True)
    theirs = torch.stack([batch["ref_chosen_logps"], batch["ref_rejected_logps"]], 1)
    torch.testing.assert_close(reference_logp(talker(2), rows(batch)), theirs, atol=1e-4, rtol=1e-5)
    assert trainer.compute_loss(trainer.model, batch).item() == pytest.approx(0.693147, abs=1e-5)


@pytest.mark.slow
def test_the_cures_that_trl_has(trl):
    trainer, batch = trl(1, 2)
    w, l, ref_w, ref_l = four(1, 2, rows(batch))
    lengths = torch.tensor([[sum(mask) for _, mask in pair] for pair in rows(batch)])

    def theirs(*kinds):
        trainer.loss_types, trainer.loss_weights = list(kinds), [1.0] * len(kinds)
        return trainer.compute_loss(trainer.model, batch).item()

    per_token = cures.per_token(w - ref_w, l - ref_l, *lengths.T, BETA).mean().item()
    assert per_token == pytest.approx(theirs("sigmoid_norm"), abs=1e-5)
    ours = cures.rpo(w, l, ref_w, ref_l, lengths[:, 0], BETA).mean().item()
    plain = dpo(w, l, ref_w, ref_l, BETA).mean().item()
    by_answer, by_token = -(w / lengths[:, 0]).mean().item(), -(w.sum() / lengths[:, 0].sum()).item()
    assert ours == pytest.approx(plain + by_answer, abs=1e-5)  # every answer weighs the same, as in the paper
    assert theirs("sigmoid", "sft") == pytest.approx(plain + by_token, abs=1e-5)  # every token does


@pytest.mark.slow
def test_three_steps_lead_to_the_same_weights(trl):
    trainer, batch = trl(1, 2)
    model, pairs = talker(1), rows(batch)
    reference = reference_logp(talker(2), pairs)
    optimizer, their_optimizer = (adamw(m, 1e-3) for m in (model, trainer.model))
    for _ in range(3):
        seen = Batch(model, pairs, reference, torch.arange(3))
        update(model, optimizer, dpo(*seen.logp(0, 1), *seen.ref_logp(0, 1), BETA).mean(), clip=1.0)
        trainer.compute_loss(trainer.model, batch).backward()
        torch.nn.utils.clip_grad_norm_(trainer.model.parameters(), 1.0)
        their_optimizer.step()
        their_optimizer.zero_grad()
    theirs = type(model).from_transformers(trainer.model)
    after = reference_logp(theirs, pairs)
    torch.testing.assert_close(reference_logp(model, pairs), after, atol=2e-3, rtol=1e-4)
    assert (after - reference_logp(talker(1), pairs)).abs().min() > 0.05  # they did move
