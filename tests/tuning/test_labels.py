"""Labels and their loss against torch's cross_entropy, transformers' and TRL's own, and against slips."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from test_chat import conversation
from tiny import TALKS, bpe, sft_trainer, talker

from llmrl.lm.training import next_token_loss, pad
from llmrl.seeds import rng
from llmrl.tuning import chat, sft
from llmrl.tuning.labels import IGNORE, answer_mask, labels, shifted_loss

VOCAB = 11


def case(B, T, seed):
    generator = rng(seed, "labels")
    ids = torch.randint(VOCAB, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) < 0.4
    mask[0, 1] = True
    return torch.randn(B, T, VOCAB, generator=generator), ids, mask


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 4), st.integers(2, 7), st.integers(0, 10**6))
def test_the_mean_is_torch_s(B, T, seed):
    logits, ids, mask = case(B, T, seed)
    y = labels(ids, mask)
    assert torch.equal(y == IGNORE, ~mask) and y.dtype == ids.dtype and y.shape == ids.shape
    theirs = F.cross_entropy(logits[:, :-1].reshape(-1, VOCAB), y[:, 1:].reshape(-1), ignore_index=IGNORE)
    assert shifted_loss(logits, y).item() == pytest.approx(theirs.item(), abs=1e-6)


def test_the_mean_is_transformers_and_the_loop_s():
    model = talker()
    rows = sft.samples(TALKS, bpe())
    ids, mask = pad([r[0] for r in rows]), pad([r[1] for r in rows], False)
    ours = shifted_loss(model(ids), labels(ids, mask)).item()
    theirs = model.to_transformers()(input_ids=ids, labels=labels(ids, mask)).loss.item()
    assert ours == pytest.approx(theirs, abs=1e-6)
    assert ours == pytest.approx(next_token_loss(model, ids, mask).item(), abs=1e-6)


def test_no_gradient_from_prompt_positions_but_through_them():
    """The scores at a prompt position get no gradient unless the next token is an answer's; the prompt's words do."""
    model = talker()
    ids, mask = (torch.tensor([x]) for x in chat.render(TALKS[0], bpe()))
    seen = model.embed(ids).detach().requires_grad_()
    model.embed.register_forward_hook(lambda *_: seen)
    logits = model(ids)
    logits.retain_grad()
    shifted_loss(logits, labels(ids, mask)).backward()
    guesses = mask[0].roll(-1)  # the position before a learned token guesses it
    at = logits.grad[0].abs().sum(-1)
    assert (at[~guesses] == 0).all() and (at[guesses] > 0).all()
    assert (seen.grad[0, : guesses.nonzero().max() + 1].abs().sum(-1) > 0).all(), "earlier tokens are read"


def test_nan_at_ignored_places_does_no_harm():
    logits, ids, _ = case(2, 5, 0)
    mask = torch.tensor([[False, False, True, True, False]] * 2)
    spoiled = logits.clone()
    spoiled[:, [0, 3, 4]] = float("nan")  # positions 1 and 2 guess the learned tokens
    assert shifted_loss(spoiled, labels(ids, mask)) == shifted_loss(logits, labels(ids, mask))


@settings(max_examples=25, deadline=None)
@given(conversation)
def test_the_mask_is_found_again_in_the_ids(messages):
    ids, mask = chat.render(messages, bpe())
    header = bpe().encode("<|im_start|>assistant\n")
    assert answer_mask(ids, header, bpe().im_end_id) == mask


def test_the_mask_by_hand():
    assert answer_mask([9, 8, 5, 3, 7], [9, 8], 3) == [False, False, True, True, False]
    assert answer_mask([], [9], 3) == [] and answer_mask([8], [9, 8], 3) == [False]
    with pytest.raises(ValueError, match="header must be the ids that open an answer, got none"):
        answer_mask([1, 2], [], 3)


@pytest.mark.parametrize("mask", [torch.ones(2, 3), torch.ones(2, 2, dtype=torch.bool)], ids=["floats", "shape"])
def test_a_mask_of_another_kind(mask):
    with pytest.raises(ValueError, match="mask must be bool of shape .* like ids"):
        labels(torch.ones(2, 3, dtype=torch.long), mask)


def test_labels_that_mark_nothing():
    y = torch.tensor([[4, IGNORE, IGNORE]])  # the first token has nothing before it
    with pytest.raises(ValueError, match="mark no token with another before it, so there is nothing to learn"):
        shifted_loss(torch.zeros(1, 3, 5), y)


@pytest.mark.slow
def test_the_mean_is_trl_s(tmp_path):
    model = talker()
    trainer = sft_trainer(model, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    ids = batch["input_ids"]
    mask = torch.tensor(
        [answer_mask(row, bpe().encode("<|im_start|>assistant\n"), bpe().im_end_id) for row in ids.tolist()]
    )
    assert torch.equal(labels(ids, mask), batch["labels"])
    theirs = trainer.compute_loss(trainer.model, batch).item()
    assert shifted_loss(model(ids), labels(ids, mask)).item() == pytest.approx(theirs, abs=1e-6)
