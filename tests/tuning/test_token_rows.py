"""Trained rows of the embedding: those move and no others, folded in they are an ordinary embedding, as in peft."""

import copy

import pytest
import torch
from lm.lively import lively, some_ids

from llmrl.lm.training import adamw, next_token_loss, update
from llmrl.tuning import lora, token_rows


def stepped(model, steps=3):
    ids = some_ids()
    optimizer = adamw(model, 1e-2, 0.1)
    for _ in range(steps):
        update(model, optimizer, next_token_loss(model, ids, torch.ones_like(ids, dtype=torch.bool)))
    return model


def test_only_these_rows_move():
    model, before = lora.inject(lively(), 2, 4), lively()
    assert torch.equal(token_rows.train_rows(model, [5, 9])(some_ids()), before(some_ids()))
    assert lora.trainable(model) == lora.added(model.config, 2) + 2 * model.config.width
    moved = (stepped(model).embed.weight != before.embed.weight).any(1)
    assert moved.nonzero().flatten().tolist() == [5, 9]


def test_folded_in_they_are_an_ordinary_embedding():
    model, plain = stepped(token_rows.train_rows(lively(), [5, 9])), lively()
    wanted = model(some_ids())
    assert torch.equal(token_rows.fold_rows(model)(some_ids()), wanted)
    assert list(model.state_dict()) == list(plain.state_dict())


@pytest.mark.slow
def test_peft_does_the_same():
    from peft import LoraConfig, get_peft_model

    base = lively()
    peer = get_peft_model(base.to_transformers(), LoraConfig(
        r=2, lora_alpha=4, target_modules=["q_proj"], trainable_token_indices=[5, 9], task_type="CAUSAL_LM",
    ))  # fmt: skip
    ours = token_rows.train_rows(lora.inject(copy.deepcopy(base), 2, 4, ("q",)), [5, 9])
    rows = next(p for name, p in peer.named_parameters() if "trainable_tokens_delta" in name)
    ids = some_ids()
    for net, logits in ((ours, ours(ids)), (peer, peer(ids).logits)):
        net.zero_grad()
        (-logits[:, :-1].log_softmax(-1).gather(-1, ids[:, 1:, None]).mean()).backward()
    mine = ours.embed.parametrizations.weight[0].rows
    torch.testing.assert_close(rows.detach(), mine.detach())
    torch.testing.assert_close(rows.grad, mine.grad, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ids", [[], [3, 3], [-1], [40]])
def test_rows_that_are_not_there(ids):
    with pytest.raises(ValueError, match="ids must be different tokens from 0 to 39, one or more, got"):
        token_rows.train_rows(lively(), ids)


def test_in_two_calls():
    with pytest.raises(
        ValueError, match=r"has trained rows already: name all tokens in one call, or fold_rows\(model\)"
    ):
        token_rows.train_rows(token_rows.train_rows(lively(), [1]), [2])


def test_nothing_to_fold():
    with pytest.raises(ValueError, match=r"no trained rows to fold in: train_rows\(model, ids\) comes first"):
        token_rows.fold_rows(lively())
