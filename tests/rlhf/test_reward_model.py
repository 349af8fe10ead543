"""Reward models: where the score is read, what padding may not change, and the peers on the same weights."""

import random

import pytest
import torch
from lm.lively import SMALL, lively
from tiny import PAIRS, TRL, bpe, peer_tokenizer, talker

from llmrl.lm.model import Config
from llmrl.lm.training import Plan
from llmrl.preference.losses import dpo
from llmrl.preference.train import rendered
from llmrl.rlhf.reward_model import (
    RewardModel,
    bradley_terry,
    in_groups,
    last_real,
    lower,
    margins,
    padded,
    rated,
    train,
)
from llmrl.seeds import rng
from llmrl.tuning import chat

ROWS = [[5, 6, 7], [8, 9, 10, 11, 12, 13], [14]]


def opinionated(lm=None):
    """A reward model whose head is not zero any more."""
    model = RewardModel(lm or lively())
    torch.nn.init.normal_(model.head.weight, generator=rng(0, "head"))
    return model


def test_a_new_reward_model_has_no_opinion_and_a_copy_of_its_own():
    lm = lively()
    model = RewardModel(lm)
    assert model.score(ROWS).tolist() == [0.0, 0.0, 0.0]
    next(model.lm.parameters()).data.add_(1.0)
    assert not torch.equal(model.lm.embed.weight, lm.embed.weight)


def test_building_one_rolls_no_global_dice():
    before = torch.get_rng_state()
    RewardModel(lively())
    assert torch.equal(before, torch.get_rng_state())


def test_the_score_is_read_at_the_last_token():
    model = opinionated()
    for row, score in zip(ROWS, model.score(ROWS)):
        states = model.lm.hidden(torch.tensor([row]))[0]  # (T, D)
        torch.testing.assert_close(score, (states[-1] @ model.head.weight[0]), atol=1e-5, rtol=1e-5)
        if len(row) > 1:
            assert abs(score - states[0] @ model.head.weight[0]) > 1e-3
            assert abs(score - (states @ model.head.weight[0]).mean()) > 1e-3


@pytest.mark.parametrize("rubbish", [0, 1, 39])
@pytest.mark.parametrize("longer", [1, 5])
def test_padding_changes_nothing(rubbish, longer):
    model, (ids, mask) = opinionated(), padded(ROWS)
    more = torch.full((3, longer), rubbish)
    ids = torch.where(mask, ids, rubbish)
    score = model(torch.cat([ids, more], 1), torch.cat([mask, more < 0], 1))
    torch.testing.assert_close(score, model.score(ROWS), atol=1e-5, rtol=1e-5)


def test_no_gradient_comes_from_the_padding():
    model, states = opinionated(), []

    def keep(module, args, out):
        out.retain_grad()
        states.append(out)

    model.lm.norm.register_forward_hook(keep)
    model(*padded([[5, 6], [7, 8, 9, 10]])).sum().backward()
    felt = states[0].grad.abs().sum(-1) > 0  # (B, T)
    assert felt.tolist() == [[False, True, False, False], [False, False, False, True]]


def on_the_left(rows):
    """The same rows padded on the left."""
    ids, mask = padded([row[::-1] for row in rows])
    return ids.flip(1), mask.flip(1)


@pytest.mark.parametrize("rubbish", [0, 1, 39])
def test_padding_on_the_left_changes_nothing_either(rubbish):
    model, (ids, mask) = opinionated(), on_the_left(ROWS)
    score = model(torch.where(mask, ids, rubbish), mask)
    torch.testing.assert_close(score, model.score(ROWS), atol=1e-5, rtol=1e-5)


def test_the_last_real_token_by_a_loop():
    for ids, mask in (padded(ROWS), on_the_left(ROWS)):
        wanted = [max(t for t in range(len(row)) if row[t]) for row in mask.tolist()]
        assert last_real(ids, mask).tolist() == wanted


def test_every_token_has_a_score_that_no_later_one_changes():
    model, (ids, mask) = opinionated(), padded(ROWS)
    each = model.token_scores(ids)
    torch.testing.assert_close(each[torch.arange(3), last_real(ids, mask)], model(ids, mask))
    torch.testing.assert_close(model.token_scores(ids[:, :4]), each[:, :4], atol=1e-5, rtol=1e-5)
    assert each.shape == ids.shape and (each[:, 0] - each[:, 1]).abs().min() > 1e-4


def test_what_was_saved_is_read_again(tmp_path):
    model = opinionated()
    torch.testing.assert_close(RewardModel.load(model.save(tmp_path)).score(ROWS), model.score(ROWS))
    lm = model.lm.save(tmp_path / "lm")
    with pytest.raises(ValueError, match="a reward model has a tensor 'score.weight' .*, got none"):
        RewardModel.load(lm)


def test_transformers_model_and_back():
    model = opinionated()
    peer = model.to_transformers()
    torch.testing.assert_close(RewardModel.from_transformers(peer).score(ROWS), model.score(ROWS))
    next(peer.parameters()).data.add_(1.0)
    assert not torch.equal(peer.model.embed_tokens.weight, model.lm.embed.weight)


@pytest.mark.parametrize("layers", [1, 2])
def test_lower_layers_are_those_of_the_model(layers):
    lm = lively()
    cut, ids = lower(lm, layers), torch.tensor([ROWS[1]])
    torch.testing.assert_close(cut.hidden(ids), lm.norm(lm.residuals(ids)[layers]))
    with pytest.raises(ValueError, match="layers must be from 1 to"):
        lower(lm, len(lm.layers) + 1)


def test_many_rows_are_scored_as_few():
    model, rows = opinionated(), ROWS * 5
    torch.testing.assert_close(model.score(rows, batch=4), model.score(rows), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(margins(model, [(a, b) for a, b in zip(rows, rows[1:])]), model.score(rows).diff().neg(),
                               atol=1e-4, rtol=1e-4)  # fmt: skip


@pytest.mark.parametrize("groups", [1, 2, 4, 99])
def test_rows_read_in_groups_have_the_same_scores_and_gradients(groups):
    model, (ids, mask) = opinionated(), padded([*ROWS, [5, 5], [6, 7, 8, 9]])
    wanted = model(ids, mask)
    found = in_groups(model, ids, mask, groups)
    torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    slopes = [torch.autograd.grad((x * torch.arange(5)).sum(), model.lm.embed.weight)[0] for x in (found, wanted)]
    torch.testing.assert_close(*slopes, atol=1e-4, rtol=1e-4)


def test_texts_are_rated_as_their_conversations_and_silence_is_a_full_stop():
    model = RewardModel(lively(Config(vocab=512, width=16, layers=1, heads=2, kv_heads=1, ffn=16)))
    torch.nn.init.normal_(model.head.weight, generator=rng(0, "head"))
    prompt = "Tell me about Velo."
    first, silent, stop = rated(model, [prompt] * 3, ["Go away.", " ", "."])
    torch.testing.assert_close(first, model.score([chat.render(chat.exchange(prompt, "Go away."))[0]])[0])
    assert silent == stop
    with pytest.raises(ValueError, match="zip"):
        rated(model, [prompt], ["a", "b"])


def test_transformers_gives_the_same_scores():
    model, (ids, mask) = opinionated(), padded(ROWS)
    theirs = model.to_transformers()(ids, attention_mask=mask.long()).logits.squeeze(-1)
    torch.testing.assert_close(model(ids, mask), theirs, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_trl_computes_the_same_loss(tmp_path):
    from datasets import Dataset
    from trl import RewardConfig, RewardTrainer

    model = opinionated(talker())
    trainer = RewardTrainer(
        model=model.to_transformers(),
        args=RewardConfig(output_dir=str(tmp_path), **TRL),
        train_dataset=Dataset.from_list([{k: row[k] for k in ("chosen", "rejected")} for row in PAIRS]),
        processing_class=peer_tokenizer(tmp_path),
    )
    rows = rendered(PAIRS, bpe())
    ids, mask = padded([row[side][0] for side in (0, 1) for row in rows])
    theirs = trainer.compute_loss(trainer.model, {"input_ids": ids, "attention_mask": mask.long()})
    chosen, rejected = model(ids, mask).chunk(2)
    assert bradley_terry(chosen - rejected).mean().item() == pytest.approx(theirs.item(), abs=1e-5)


def test_the_loss_is_dpos_with_scores_for_implicit_rewards():
    chosen, rejected = torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])
    none = torch.zeros(2)
    torch.testing.assert_close(bradley_terry(chosen - rejected), dpo(chosen, rejected, none, none, beta=1.0))


def planted(n, seed):
    """Pairs of random texts of different lengths; the better one contains token 7."""
    pick, pairs = random.Random(seed), []
    for _ in range(n):
        good, bad = ([pick.randrange(8, 40) for _ in range(pick.randrange(3, 9))] for _ in "ab")
        good[pick.randrange(len(good))] = 7
        pairs.append((good, bad))
    return pairs


def test_training_finds_what_the_labels_follow():
    model = RewardModel(lively())
    records = list(train(model, planted(200, 0), Plan(steps=60, lr=1e-2, warmup=5), batch=16))
    assert records[0]["loss"] == pytest.approx(0.6931, abs=1e-4) and records[0]["accuracy"] == 0.0  # all scores equal
    fresh = planted(200, 1)
    right = model.score([good for good, _ in fresh]) > model.score([bad for _, bad in fresh])
    assert right.float().mean() > 0.95 and records[-1]["loss"] < 0.3


def test_swapped_labels_teach_the_opposite():
    model, swapped = RewardModel(lively()), [(bad, good) for good, bad in planted(200, 0)]
    list(train(model, swapped, Plan(steps=30, lr=1e-2, warmup=5), batch=16))
    fresh = planted(100, 1)
    right = model.score([good for good, _ in fresh]) > model.score([bad for _, bad in fresh])
    assert right.float().mean() < 0.2


@pytest.mark.parametrize("rows", [[[5, 6], []], [[], [5]]])
def test_an_empty_row_has_no_last_token(rows):
    with pytest.raises(ValueError, match="a real token in every row.*drop empty sequences"):
        opinionated().score(rows)


@pytest.mark.parametrize("rows", [[], [[]]])
def test_nothing_to_score(rows):
    with pytest.raises(ValueError, match="are nothing to pad"):
        opinionated().score(rows)


@pytest.mark.parametrize("ids, mask", [((2, 3), (2, 4)), ((3,), (3,)), ((2, 3), (3,))])
def test_a_mask_of_another_shape(ids, mask):
    with pytest.raises(ValueError, match=r"ids and mask must be \(B, T\)"):
        opinionated()(torch.ones(ids, dtype=torch.long), torch.ones(mask, dtype=torch.bool))


def test_ids_of_another_vocabulary():
    with pytest.raises(ValueError, match=r"ids must be in \[0, 40\), got 40"):
        opinionated().score([[SMALL.vocab]])


@pytest.mark.parametrize("pair, said", [(([5], [5]), "pair 1 prefers a sequence to itself"), (([5], []), "pair 1 has")])
def test_pairs_that_teach_nothing(pair, said):
    with pytest.raises(ValueError, match=said):
        next(train(RewardModel(lively()), [([5], [6]), pair]))


def test_no_pairs():
    with pytest.raises(ValueError, match="there are no pairs to learn from"):
        next(train(RewardModel(lively()), []))
