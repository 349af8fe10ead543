"""One loop for every preference loss: what a batch gives, what it costs, what moves, and what is refused."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import PAIRS, bpe, talker

from llmrl.lm.training import Plan
from llmrl.preference import losses, methods
from llmrl.preference.reference import Moving
from llmrl.preference.train import Batch, answer_logp, fit, reference_logp, rendered, train, unpaired

ROWS = rendered(PAIRS, bpe())
KTO_ROWS, GOOD = unpaired(ROWS)
ONE = Plan(steps=1, lr=3e-3, warmup=1)
THREE = Plan(steps=3, lr=3e-3, warmup=1)
METHODS = {  # loss, rows, whether it needs a reference, sequences trained and watched per row
    "sft": (methods.sft(), ROWS, False, 1, 0),
    "dpo": (methods.dpo(0.3), ROWS, True, 2, 0),
    "cdpo": (methods.cdpo(0.3, 0.2), ROWS, True, 2, 0),
    "robust dpo": (methods.robust_dpo(0.3, 0.2), ROWS, True, 2, 0),
    "ipo": (methods.ipo(0.1), ROWS, True, 2, 0),
    "kto": (methods.kto(0.3, GOOD), KTO_ROWS, True, 1, 1),
    "simpo": (methods.simpo(2.0, 0.5), ROWS, False, 2, 0),
    "orpo": (methods.orpo(0.5), ROWS, False, 2, 0),
    "rrhf": (methods.rrhf(10.0), ROWS, False, 2, 0),
}
each = pytest.mark.parametrize("name", METHODS)


@each
def test_a_method_computes_only_what_it_asks_for(name):
    loss, rows, needs, trained, watched = METHODS[name]
    reference = reference_logp(talker(), rows) if needs else None
    record = next(fit(talker(), rows, loss, reference, ONE, batch=4))
    assert (record["trained"], record["watched"]) == (4 * trained, 4 * watched) and math.isfinite(record["loss"])
    if needs:
        with pytest.raises(ValueError, match=r"asks for a reference: give fit reference_logp\(model, rows\)"):
            next(fit(talker(), rows, loss, None, ONE, batch=4))


@pytest.mark.slow
@each
def test_every_method_learns_to_tell_the_sides_apart(name):
    loss, rows, needs, *_ = METHODS[name]
    model, before = talker(), reference_logp(talker(), ROWS)
    for _ in fit(model, rows, loss, reference_logp(model, rows) if needs else None, Plan(20, 3e-3, warmup=2), 8):
        pass
    rose = reference_logp(model, ROWS) - before
    assert (rose[:, 0] > rose[:, 1]).all()


def test_dpo_through_the_loop_is_dpo_by_its_name():
    ref_logp = reference_logp(talker(), ROWS)
    by_name = list(train(talker(), ROWS, ref_logp, THREE, beta=0.3, batch=4, seed=5))
    assert by_name == list(fit(talker(), ROWS, methods.dpo(0.3), ref_logp, THREE, 4, 5))
    other = list(fit(talker(), ROWS, methods.ipo(0.3), ref_logp, THREE, 4, 5))
    assert [r["loss"] for r in other] != [r["loss"] for r in by_name]


def test_a_batch_answers_in_the_order_it_was_asked():
    model, ref_logp = talker(), torch.arange(6.0).view(3, 2)
    batch = Batch(model, ROWS, ref_logp, torch.tensor([2, 0]))
    (rejected, chosen), (watched,) = batch.logp(1, 0), batch.watched(1)
    alone = answer_logp(model, [ROWS[2][1], ROWS[0][1]])
    torch.testing.assert_close(rejected, alone, atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(watched, alone.detach(), atol=1e-4, rtol=1e-5)
    assert rejected.requires_grad and chosen.requires_grad and not watched.requires_grad
    assert [x.tolist() for x in batch.ref_logp(1, 0)] == [[5.0, 1.0], [4.0, 0.0]]
    assert [x.tolist() for x in batch.length(0)] == [[sum(ROWS[2][0][1]), sum(ROWS[0][0][1])]]
    assert batch.logp(1, 0)[0] is rejected and (batch.trained, batch.watched_only) == (4, 2)


def test_a_strangers_answer_stands_behind_the_own_prompt():
    texts = [[bpe().decode(ids) for ids, _ in row] for row in KTO_ROWS]
    assert GOOD.tolist() == [True, False] * 3 and len(texts) == 6
    assert texts[0][1] == "<|im_start|>user\nTell me of Velo.<|im_end|>\n<|im_start|>assistant\n5<|im_end|>\n"
    assert texts[5][1] == "<|im_start|>user\nReverse a b c.<|im_end|>\n<|im_start|>assistant\nGo away.<|im_end|>\n"
    for (_, mask), (ids, mixed) in KTO_ROWS:
        assert mask.index(True) == mixed.index(True) and len(ids) == len(mixed)


def test_the_reference_point_takes_no_gradient():
    """KTO's gradient is that of the answers alone: the same as with the number put in by hand."""
    ref_logp, grads = reference_logp(talker(1), KTO_ROWS), []
    for by_hand in (False, True):
        model = talker()
        batch = Batch(model, KTO_ROWS, ref_logp, torch.tensor([0, 1, 4]))
        z = losses.reference_point(answer_logp(model, [KTO_ROWS[i][1] for i in (0, 1, 4)]), ref_logp[[0, 1, 4], 1])
        right = losses.kto(*batch.logp(0), *batch.ref_logp(0), GOOD[batch.drawn], z.item(), 0.3)
        (right if by_hand else methods.kto(0.3, GOOD)(batch)).mean().backward()
        grads.append(torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]))
    torch.testing.assert_close(*grads, atol=1e-5, rtol=1e-4)


def test_sft_is_the_next_token_loss():
    from llmrl.lm.training import next_token_loss, pad

    batch = Batch(talker(), ROWS, None, torch.arange(3))
    ids, mask = (pad([row[0][part] for row in ROWS], fill) for part, fill in ((0, 0), (1, False)))
    torch.testing.assert_close(methods.sft()(batch).mean(), next_token_loss(talker(), ids, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("alpha", "every", "there"), [(1.0, 2, [False, True, False]), (0.5, 1, [False] * 3)])
def test_a_reference_follows_its_model(alpha, every, there):
    model, follower, distances = talker(), Moving(talker(), alpha, every), []
    for _ in fit(model, ROWS, methods.dpo(0.3), follower, THREE, batch=4):
        distances.append((follower.model.norm.weight - model.norm.weight).abs().sum().item())
    assert [distance == 0 for distance in distances] == there
    assert not any(p.requires_grad for p in follower.model.parameters())


def test_a_reference_that_never_moves_is_the_frozen_one():
    frozen = list(fit(talker(), ROWS, methods.dpo(0.3), reference_logp(talker(), ROWS), THREE, 4))
    live = list(fit(talker(), ROWS, methods.dpo(0.3), Moving(talker(), 0.0), THREE, 4))
    for one, other in zip(frozen, live):
        assert one["loss"] == pytest.approx(other["loss"], abs=1e-4)
        assert (one["watched"], other["watched"]) == (0, 8)
    chasing = list(fit(talker(), ROWS, methods.dpo(0.3), Moving(talker(), 1.0), THREE, 4))
    assert all(record["loss"] == pytest.approx(math.log(2), abs=1e-4) for record in chasing)


@given(st.integers(1, 6), st.sampled_from(sorted(METHODS)))
@settings(max_examples=6, deadline=None)
def test_a_loss_gives_one_finite_value_per_row(size, name):
    loss, rows, *_ = METHODS[name]
    batch = Batch(talker(), rows, reference_logp(talker(1), rows), torch.arange(size) % len(rows))
    values = loss(batch)
    assert values.shape == (size,) and values.dtype == torch.float32 and values.isfinite().all()


EMPTY = ([1, 2, 3], [False] * 3)
UNEVEN = ([1, 2, 3], [False, True])
LONG = ([1] * 97, [False] * 90 + [True] * 7)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*ROWS, (EMPTY, ROWS[0][1])], "row 3 needs answers of one token or more.* 0 of them the answer: leave it out"),
        ([*ROWS, (ROWS[0][0], UNEVEN)], "row 3 needs .*as many masks as ids.*got 3 ids, 2 masks"),
        ([(LONG, ROWS[0][1])], "row 0 needs .*at most 96 tokens with the prompt; got 97 ids"),
        ([*ROWS, ROWS[0][:1]], "every row needs 2 sides like the first, row 3 has 1"),
        ([], "0 pairs need a reference's .* for one pair or more"),
    ],
    ids=["empty answer", "uneven", "longer than the context", "a side is missing", "nothing"],
)
def test_rows_that_cannot_be_learned_from(rows, says):
    with pytest.raises(ValueError, match=says):
        next(fit(talker(), rows, methods.simpo(2.0, 0.5)))


def test_a_reference_that_is_not_finite():
    ref_logp = torch.zeros(3, 2)
    ref_logp[1, 0] = math.nan
    with pytest.raises(ValueError, match=r"must be finite, row and side \[1, 0\] is not: compute it anew"):
        next(fit(talker(), ROWS, methods.dpo(0.3), ref_logp))


def test_an_answer_is_not_preferred_to_itself():
    with pytest.raises(ValueError, match="pair 0 prefers an answer to itself, '5 ': nothing can be learned"):
        rendered([{"prompt": "What is 2+3?", "chosen": "5 ", "rejected": "5"}], bpe())


def test_one_pair_has_no_strangers():
    with pytest.raises(ValueError, match="1 pairs hold no answer to another prompt: give two pairs or more"):
        unpaired(ROWS[:1])
