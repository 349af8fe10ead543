"""Supervised tuning: only the answers are learned, a handful of conversations is learned by heart, TRL's first loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, sft_trainer, talker

from llmrl.lm.decoding import Sampling
from llmrl.lm.training import Plan, next_token_loss, pad
from llmrl.seeds import rng
from llmrl.tuning import chat, sft

ASKED = [talk[0]["content"] for talk in TALKS]
TOLD = [talk[1]["content"] for talk in TALKS]


def test_samples_are_rendered_conversations():
    assert sft.samples(TALKS, bpe()) == [chat.render(talk, bpe()) for talk in TALKS]
    assert sft.samples([], bpe()) == []


@pytest.fixture(scope="module")
def tuned():
    model = talker()
    records = list(sft.tune(model, TALKS, Plan(steps=120, lr=1e-2, warmup=5), batch=6, tokenizer=bpe()))
    return model, records


def test_a_handful_of_conversations_is_learned_by_heart(tuned):
    model, records = tuned
    assert records[0]["loss"] > 4 and records[-1]["loss"] < 0.05
    assert sft.answers(model, ASKED, max_new=20, tokenizer=bpe()) == TOLD


def test_the_prompts_are_not_learned(tuned):
    model, _ = tuned
    ids, mask = (torch.tensor([x]) for x in chat.render(TALKS[1], bpe()))
    assert next_token_loss(model, ids, mask) < 0.05 < 1 < next_token_loss(model, ids, ~mask)


def test_answers_do_not_depend_on_their_neighbours(tuned):
    model, _ = tuned
    assert sft.answers(model, ASKED[::-1], 20, tokenizer=bpe()) == TOLD[::-1]
    assert sft.answers(model, ASKED[:1], 20, tokenizer=bpe()) == TOLD[:1]


def test_answers_may_be_drawn(tuned):
    model, _ = tuned
    drawn = [sft.answers(model, ASKED, 8, Sampling(temperature=3.0), rng(seed), bpe()) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2] and all(isinstance(answer, str) for answer in drawn[0])


def test_the_same_seed_gives_the_same_run():
    def run(seed):
        return list(sft.tune(talker(), TALKS, Plan(steps=3), batch=2, seed=seed, tokenizer=bpe()))

    assert run(0) == run(0) != run(1)


@pytest.mark.slow
def test_trl_computes_the_same_first_loss(tmp_path):
    model = talker()
    trainer = sft_trainer(model, tmp_path)
    batch = next(iter(trainer.get_train_dataloader()))
    ours = dict(zip(("ids", "mask"), (pad(rows) for rows in zip(*sft.samples(TALKS, bpe())))))
    assert sorted(batch["input_ids"].tolist()) == sorted(ours["ids"].tolist())
    theirs = trainer.compute_loss(trainer.model, batch)
    assert next_token_loss(model, ours["ids"], ours["mask"].bool()).item() == pytest.approx(theirs.item(), abs=1e-5)


def test_a_conversation_without_an_answer_is_named():
    with pytest.raises(ValueError, match="sample 3 must have a mask .* marks 0: leave it out"):
        sft.tune(talker(), [*TALKS, TALKS[0][:1]], tokenizer=bpe())


def test_no_conversations():
    with pytest.raises(ValueError, match="there are no samples"):
        sft.tune(talker(), [], tokenizer=bpe())


def test_a_conversation_longer_than_the_context():
    long = [[TALKS[0][0], {"role": "assistant", "content": "5 " * 200}]]
    with pytest.raises(ValueError, match="does not fit in a context of 96: cut it"):
        next(sft.tune(talker(), long, tokenizer=bpe()))


def test_one_prompt_is_still_a_list():
    with pytest.raises(TypeError, match=r"prompts must be a list of texts, got the text 'What is 2\+3\?'.*\[prompt\]"):
        sft.answers(talker(), "What is 2+3?", tokenizer=bpe())


def test_no_prompts():
    with pytest.raises(TypeError, match="at least one prompt"):
        sft.answers(talker(), [], tokenizer=bpe())


def test_an_epoch_shows_every_sample_once():
    rows = [([1, 5 + i], [False, True]) for i in range(7)]
    at = sft.epoch_batches(rows, 3, lambda epoch: rng(0, epoch))
    epochs = [[int(i) for step in range(3 * e, 3 * e + 3) for i in at(step)[0][:, 1]] for e in range(3)]
    assert all(sorted(epoch) == list(range(5, 12)) for epoch in epochs) and epochs[0] != epochs[1] != epochs[2]
    assert [len(at(step)[0]) for step in range(4)] == [3, 3, 1, 3]
    assert at(4)[0].tolist() == at(4)[0].tolist()


@pytest.mark.parametrize("batch", [0, 8])
def test_a_batch_that_no_epoch_has(batch):
    with pytest.raises(ValueError, match=f"batch must be from 1 to the 7 samples there are, got {batch}"):
        sft.epoch_batches([([1, 5], [False, True])] * 7, batch, lambda epoch: rng(0, epoch))


def test_the_measured_loss_weighs_every_answer_token_the_same():
    model, rows = talker(), sft.samples(TALKS, bpe())
    ids, mask = pad([r[0] for r in rows]), pad([r[1] for r in rows], False)
    whole = next_token_loss(model, ids, mask).item()
    assert [sft.answer_loss(model, rows, n) for n in (1, 2, 64)] == pytest.approx([whole] * 3, abs=1e-6)
    with pytest.raises(ValueError, match="2 samples mark no token of an answer"):
        sft.answer_loss(model, [([1, 2], [False, False])] * 2)
    with pytest.raises(ValueError, match="0 samples mark no token"):
        sft.answer_loss(model, [])


def test_a_reply_to_ids_is_an_answer_to_their_text(tuned):
    model, _ = tuned
    asked = [chat.prompt_ids(talk[:1], bpe()) for talk in TALKS]
    assert sft.replies(model, asked, 20, tokenizer=bpe()) == sft.answers(model, ASKED, 20, tokenizer=bpe()) == TOLD


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 5), st.integers(2, 12), st.integers(1, 6), st.integers(0, 10**6))
def test_computing_only_what_is_learned_changes_nothing(B, T, groups, seed):
    model, generator = talker(), rng(seed, "ids")
    ids = torch.randint(290, (B, T), generator=generator)
    mask = torch.rand(B, T, generator=generator) < 0.3
    mask[0, -1] = True
    whole, part = next_token_loss(model, ids, mask), sft.learned_loss(model, ids, mask, groups)
    assert part.item() == pytest.approx(whole.item(), abs=1e-5)
    for a, b in zip(*(torch.autograd.grad(loss, list(model.parameters())) for loss in (whole, part))):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_batch_without_anything_to_learn():
    mask = torch.zeros(2, 5, dtype=torch.bool)
    mask[0, 0] = True
    with pytest.raises(ValueError, match=r"a mask of shape \(2, 5\) marks no token with another before it"):
        sft.learned_loss(talker(), torch.ones(2, 5, dtype=torch.long), mask)
