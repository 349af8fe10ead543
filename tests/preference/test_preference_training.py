"""DPO on a model: log-probabilities of answers, margins that grow, and TRL's loss on the same batch."""

import copy

import pytest
import torch
from tiny import PAIRS, TRL, bpe, peer_tokenizer, talker

from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import Plan, pad
from llmrl.preference.losses import dpo, preference_loss
from llmrl.preference.train import answer_logp, reference_logp, rendered, train

ROWS = rendered(PAIRS, bpe())
CHOSEN, REJECTED = ([row[side] for row in ROWS] for side in (0, 1))


def test_a_row_becomes_two_conversations():
    for row, (chosen, rejected) in zip(PAIRS, ROWS):
        for (ids, mask), answer in ((chosen, row["chosen"]), (rejected, row["rejected"])):
            text = f"<|im_start|>user\n{row['prompt']}<|im_end|>\n<|im_start|>assistant\n{answer}<|im_end|>\n"
            assert bpe().decode(ids) == text
            assert bpe().decode([i for i, said in zip(ids, mask) if said]) == f"{answer}<|im_end|>"


def test_the_log_probability_of_an_answer_is_a_sum_over_its_tokens_alone():
    model, found = talker(), answer_logp(talker(), CHOSEN)
    for (ids, mask), logp in zip(CHOSEN, found):
        each = model(torch.tensor([ids]))[0].log_softmax(-1)
        by_hand = sum(each[t - 1, ids[t]] for t in range(1, len(ids)) if mask[t])
        torch.testing.assert_close(logp, by_hand, atol=1e-4, rtol=1e-5)
        assert abs(logp - by_hand / sum(mask)) > 1  # not a mean
        assert abs(logp - token_logp(model(torch.tensor([ids])), torch.tensor([ids])).sum()) > 1  # not the prompt's


def test_an_answer_counts_the_same_beside_a_longer_one():
    alone = torch.cat([answer_logp(talker(), [sample]) for sample in CHOSEN + REJECTED])
    torch.testing.assert_close(answer_logp(talker(), CHOSEN + REJECTED), alone, atol=1e-4, rtol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 64])
def test_the_reference_is_computed_once_in_any_batches(batch):
    found = reference_logp(talker(), ROWS, batch)
    expected = torch.stack([answer_logp(talker(), CHOSEN), answer_logp(talker(), REJECTED)], 1)
    assert found.shape == (3, 2) and not found.requires_grad
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)


def test_training_raises_the_margins_and_starts_at_log_two():
    model = talker()
    ref_logp = reference_logp(model, ROWS)
    records = list(train(model, ROWS, ref_logp, Plan(steps=30, lr=3e-3, warmup=3), beta=0.5, batch=8))
    assert records[0]["loss"] == pytest.approx(0.6931, abs=1e-3) and records[0]["margin"] == pytest.approx(0, abs=1e-4)
    assert records[-1]["accuracy"] == 1.0 and records[-1]["margin"] > 3 and records[-1]["loss"] < 0.3
    after = reference_logp(model, ROWS) - ref_logp
    assert (after[:, 0] > after[:, 1]).all()


def test_the_other_label_gives_the_other_direction():
    model, swapped = talker(), [(b, a) for a, b in ROWS]
    ref_logp = reference_logp(model, ROWS)
    list(train(model, swapped, ref_logp.flip(1), Plan(steps=15, lr=3e-3, warmup=3), beta=0.5, batch=8))
    after = reference_logp(model, ROWS) - ref_logp
    assert (after[:, 0] < after[:, 1]).all()


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        model = talker()
        return list(train(model, ROWS, reference_logp(model, ROWS), Plan(steps=3), batch=4, seed=seed))

    assert run(0) == run(0) != run(1)


@pytest.mark.parametrize("rows", [[], ROWS[:2]])
def test_a_reference_of_other_pairs_is_refused(rows):
    with pytest.raises(ValueError, match=rf"{len(rows)} pairs need a reference's .*reference_logp\(model, pairs\)"):
        next(train(talker(), rows, torch.zeros(3, 2)))


def test_no_pairs_have_no_reference():
    assert reference_logp(talker(), []).shape == (0, 2)


def trl_batch(rows):
    """What TRL's collator would make of these pairs: the chosen, then the rejected."""
    samples = [row[side] for side in (0, 1) for row in rows]
    ids, mask = pad([s[0] for s in samples]), pad([s[1] for s in samples], False)
    real = pad([[True] * len(s[0]) for s in samples], False)
    return {"input_ids": ids, "attention_mask": real.long(), "completion_mask": mask.long()}


@pytest.fixture(scope="module")
def trainer(tmp_path_factory):
    """TRL's DPO of one random policy and another random reference."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    folder = tmp_path_factory.mktemp("dpo")
    return DPOTrainer(
        model=talker(1).to_transformers(),
        ref_model=copy.deepcopy(talker(2).to_transformers()),
        args=DPOConfig(output_dir=str(folder), beta=0.3, label_smoothing=0.2, **TRL),
        train_dataset=Dataset.from_list(PAIRS),
        processing_class=peer_tokenizer(folder),
    )


def theirs(trainer, kind, rows):
    trainer.loss_types, trainer.loss_weights, trainer.label_smoothing = [kind], [1.0], 0.2
    return trainer.compute_loss(trainer.model, trl_batch(rows)).item()


def ours(rows):
    policy, ref = (reference_logp(talker(seed), rows) for seed in (1, 2))
    return policy[:, 0], policy[:, 1], ref[:, 0], ref[:, 1], 0.3


@pytest.mark.slow
def test_trl_computes_the_same_loss(trainer):
    assert dpo(*ours(ROWS)).mean().item() == pytest.approx(theirs(trainer, "sigmoid", ROWS), abs=1e-5)
    w, l, ref_w, ref_l, beta = ours(ROWS)
    assert preference_loss(beta * (w - l)).mean().item() != pytest.approx(theirs(trainer, "sigmoid", ROWS), abs=1e-3)


@pytest.mark.slow
def test_trl_computes_the_same_loss_for_flipped_labels(trainer):
    """Its robust loss is ours without bias; its aot loss of a single pair, where nothing is sorted, is ours."""
    w, l, ref_w, ref_l, beta = ours(ROWS)
    m = beta * (w - l - ref_w + ref_l)
    robust = (0.8 * preference_loss(m) - 0.2 * preference_loss(-m)) / 0.6
    assert robust.mean().item() == pytest.approx(theirs(trainer, "robust", ROWS), abs=1e-5)
    for i, row in enumerate(ROWS):
        assert preference_loss(m, flip=0.2)[i].item() == pytest.approx(theirs(trainer, "aot", [row]), abs=1e-5)
