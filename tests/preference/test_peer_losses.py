"""TRL on the same batch: IPO, robust and smoothed DPO, SimPO, ORPO, KTO with its KL batch, the moving reference."""

import importlib

import pytest
import torch
from tiny import PAIRS, TRL, bpe, peer_tokenizer, talker

from llmrl.lm.training import next_token_loss, pad
from llmrl.preference import losses
from llmrl.preference.reference import soft_update
from llmrl.preference.train import answer_logp, rendered
from llmrl.tuning import chat

pytestmark = pytest.mark.slow
ROWS = rendered(PAIRS, bpe())
SIDES = [[row[side] for row in ROWS] for side in (0, 1)]
LENGTH = [torch.tensor([sum(mask) for _, mask in side]) for side in SIDES]


def logp(seed, samples):
    return answer_logp(talker(seed), samples).detach()


def four():
    return [logp(seed, side) for seed in (1, 2) for side in SIDES]


def columns(samples):
    """Samples as a collator stacks them: ids, attention mask, completion mask."""
    real = pad([[True] * len(ids) for ids, _ in samples], False)
    return pad([s[0] for s in samples]), real.long(), pad([s[1] for s in samples], False).long()


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peer")
    return folder, peer_tokenizer(folder)


def trainer(kind, place, data=PAIRS, module="trl", models=(1, 2), **settings):
    """TRL's trainer of that kind: a policy and, where there are two models, a reference."""
    from datasets import Dataset

    trl, (folder, tokenizer) = importlib.import_module(module), place
    return getattr(trl, f"{kind}Trainer")(
        **dict(zip(("model", "ref_model"), (talker(seed).to_transformers() for seed in models))),
        args=getattr(trl, f"{kind}Config")(output_dir=str(folder), **TRL, **settings),
        train_dataset=Dataset.from_list(data),
        processing_class=tokenizer,
    )


def pairwise(samples):
    ids, real, said = columns(samples)
    return {"input_ids": ids, "attention_mask": real, "completion_mask": said}


def test_trl_divides_by_the_length_before_it_squares(place):
    peer = trainer("DPO", place, loss_type=["ipo"], beta=0.3)
    theirs = peer.compute_loss(peer.model, pairwise(SIDES[0] + SIDES[1])).item()
    policy, reference = four()[:2], four()[2:]
    per_token = [x / n for x, n in zip([*policy, *reference], LENGTH * 2)]
    assert losses.ipo(*per_token, tau=0.3).mean().item() == pytest.approx(theirs, abs=1e-5)
    assert abs(losses.ipo(*policy, *reference, tau=0.3).mean().item() - theirs) > 0.1  # the paper's sums its tokens


def test_trl_computes_the_same_robust_and_smoothed_loss(place):
    peer = trainer("DPO", place, loss_type=["robust"], beta=0.3, label_smoothing=0.2)
    batch = pairwise(SIDES[0] + SIDES[1])
    theirs = peer.compute_loss(peer.model, batch).item()
    assert losses.robust_dpo(*four(), beta=0.3, flip=0.2).mean().item() == pytest.approx(theirs, abs=1e-5)
    peer.loss_types = ["aot"]  # sorted margins, which for a single pair is the smoothed loss
    for i, pair in enumerate(ROWS):
        theirs = peer.compute_loss(peer.model, pairwise(pair)).item()
        ours = losses.cdpo(*[x[i : i + 1] for x in four()], beta=0.3, flip=0.2)
        assert ours.item() == pytest.approx(theirs, abs=1e-5)


def free_batch():
    """The batch of the trainers without a reference: labels, with -100 on the prompt."""
    batch = {}
    for name, side in zip(("chosen", "rejected"), SIDES):
        ids, real, said = columns(side)
        batch |= {f"{name}_input_ids": ids, f"{name}_attention_mask": real}
        batch[f"{name}_labels"] = torch.where(said.bool(), ids, -100)
    return batch


@pytest.fixture
def quiet(monkeypatch):
    monkeypatch.setenv("TRL_EXPERIMENTAL_SILENCE", "1")


def test_trl_computes_the_same_simpo_loss(place, quiet):
    peer = trainer("CPO", place, module="trl.experimental.cpo", models=(1,), remove_unused_columns=False,
                   loss_type="simpo", cpo_alpha=0.0, beta=2.0, simpo_gamma=0.7)  # fmt: skip
    theirs = peer.compute_loss(peer.model, free_batch()).item()
    chosen, rejected = four()[:2]
    ours = losses.simpo(chosen, rejected, *LENGTH, beta=2.0, gamma=0.7)
    assert ours.mean().item() == pytest.approx(theirs, abs=1e-5)
    assert abs(losses.simpo(chosen, rejected, *LENGTH, beta=2.0, gamma=1.4).mean().item() - theirs) > 0.1


def test_trl_computes_the_same_odds_and_learns_the_prompt_beside_the_answer(place, quiet):
    peer = trainer("ORPO", place, module="trl.experimental.orpo", models=(1,), remove_unused_columns=False, beta=0.3)
    theirs = peer.compute_loss(peer.model, free_batch()).item()
    chosen, rejected = four()[:2]
    ours, likelihood = (losses.orpo(chosen, rejected, *LENGTH, lam=lam).mean() for lam in (0.3, 0.0))
    ids, real, said = columns(SIDES[0])
    with torch.no_grad():
        whole, answer = (next_token_loss(talker(1), ids, mask.bool()).item() for mask in (real, said))
    assert (ours - likelihood).item() + whole == pytest.approx(theirs, abs=1e-5)
    assert abs((ours - likelihood).item() + answer - theirs) > 1e-3


@pytest.mark.parametrize("policy, reference, weights", [(1, 2, (1.0, 1.0)), (2, 1, (0.5, 1.5))])
def test_trl_computes_the_same_kto_loss_with_its_mismatched_answers(place, policy, reference, weights):
    """With the models one way round the mismatched answers have become unlikelier, and z0 is cut off at 0."""
    labelled = [{"prompt": p["prompt"], "completion": p[side], "label": side == "chosen"} for p in PAIRS
                for side in ("chosen", "rejected")]  # fmt: skip
    peer = trainer("KTO", place, labelled, models=(policy, reference), beta=0.3, desirable_weight=weights[0],
                   undesirable_weight=weights[1], remove_unused_columns=False)  # fmt: skip
    said = [row["completion"] for row in labelled]
    talks, moved = (
        [chat.render(chat.exchange(row["prompt"], answer), bpe()) for row, answer in zip(labelled, answers)]
        for answers in (said, said[-1:] + said[:-1])
    )
    good = torch.tensor([row["label"] for row in labelled])
    batch = {"label": good} | dict(zip(("input_ids", "attention_mask", "completion_mask"), columns(talks)))
    batch |= dict(zip(("KL_input_ids", "KL_attention_mask", "KL_completion_mask"), columns(moved)))
    theirs = peer.compute_loss(peer.model, batch).item()
    both = logp(policy, talks), logp(reference, talks), good
    kl = losses.reference_point(logp(policy, moved), logp(reference, moved))
    assert losses.kto(*both, kl, 0.3, weights).mean().item() == pytest.approx(theirs, abs=1e-5)
    assert (kl > 0.1) == (policy == 2)
    if kl > 0:
        assert abs(losses.kto(*both, 0.0, 0.3, weights).mean().item() - theirs) > 1e-3


def test_trl_moves_its_reference_the_same_way():
    from trl.trainer.callbacks import SyncRefModelCallback

    model, reference = talker(1).to_transformers(), talker(2).to_transformers()
    ours = talker(2)
    SyncRefModelCallback._sync_target_model(model, reference, 0.3)
    soft_update(ours, talker(1), 0.3)
    ids = torch.tensor([ROWS[0][0][0]])
    torch.testing.assert_close(ours(ids), reference(ids).logits, atol=1e-5, rtol=0)
    assert not torch.allclose(ours(ids), talker(2)(ids), atol=1e-2)
