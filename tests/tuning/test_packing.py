"""Packing: nothing lost, nothing cut, few rows; and texts in one row are read as if each stood alone."""

import dataclasses
import math
from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, talker

from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import TinyLM
from llmrl.lm.scheme import Sinusoidal, retold
from llmrl.lm.training import Plan, next_token_loss, pad, train
from llmrl.seeds import rng
from llmrl.tuning import leaks, packing, sft
from llmrl.tuning.labels import IGNORE
from llmrl.tuning.packing import best_fit, by_text, pack, packed_loss, padded_positions, wrap

texts = st.lists(st.lists(st.integers(1, 200), min_size=1, max_size=12), min_size=1, max_size=12)


def talks():
    ids, masks = zip(*sft.samples(TALKS, bpe()))
    return list(ids), list(masks)


def test_packing_by_hand():
    packed = pack([[1, 2, 3], [4, 5], [6], [7, 8, 9, 9]], 5)
    assert packed.ids.tolist() == [[7, 8, 9, 9, 6], [1, 2, 3, 4, 5]]
    assert packed.segments.tolist() == [[1, 1, 1, 1, 2], [1, 1, 1, 2, 2]]
    assert packed.positions.tolist() == [[0, 1, 2, 3, 0], [0, 1, 2, 0, 1]]
    assert packed.labels.tolist() == [[IGNORE, 8, 9, 9, IGNORE], [IGNORE, 2, 3, IGNORE, 5]]


def test_masks_and_padding_by_hand():
    packed = pack([[1, 2, 3], [4, 5]], 7, [[True, False, True], [False, True]])
    ids, positions, segments, labels = packed
    assert ids.tolist() == [[1, 2, 3, 4, 5, 0, 0]] and segments.tolist() == [[1, 1, 1, 2, 2, 0, 0]]
    assert positions.tolist() == [[0, 1, 2, 0, 1, 0, 1]]
    assert labels.tolist() == [[IGNORE, IGNORE, 3, IGNORE, 5, IGNORE, IGNORE]]


@given(texts, st.integers(12, 30))
@settings(max_examples=20, deadline=None)
def test_every_text_arrives_whole_and_once(samples, length):
    packed = pack(samples, length)
    rows = best_fit([len(s) for s in samples], length)
    assert all(x.shape == (len(rows), length) and x.dtype == torch.long for x in packed)
    assert [x.tolist() for x in by_text(packed.ids, packed.segments)] == [samples[i] for row in rows for i in row]
    assert sorted(i for row in rows for i in row) == list(range(len(samples)))
    for where in by_text(packed.positions, packed.segments):
        assert where.tolist() == list(range(len(where)))
    for said, ids in zip(by_text(packed.labels, packed.segments), by_text(packed.ids, packed.segments)):
        assert said.tolist() == [IGNORE, *ids[1:].tolist()]
    assert (packed.labels[packed.segments == 0] == IGNORE).all()


def fewest(lengths, room):
    """The fewest rows there can be, by trying every assignment."""
    for rows in range(math.ceil(sum(lengths) / room), len(lengths) + 1):
        for where in product(range(rows), repeat=len(lengths)):
            if all(sum(n for n, r in zip(lengths, where) if r == row) <= room for row in range(rows)):
                return rows


@given(st.lists(st.integers(1, 10), min_size=1, max_size=6), st.integers(10, 14))
@settings(max_examples=60, deadline=None)
def test_best_fit_needs_hardly_more_rows_than_the_fewest(lengths, room):
    found, best = len(best_fit(lengths, room)), fewest(lengths, room)
    assert best <= found <= 11 / 9 * best + 4  # the bound for best-fit decreasing, Johnson 1974
    assert found <= best + 1  # so few texts do not come near it


def test_where_the_greedy_choice_is_not_the_best():
    assert len(best_fit([4, 4, 2, 2, 2, 2, 2, 2], 10)) == 2
    lengths = [5, 4, 3, 3, 3, 2]  # 5+3+2 and 4+3+3 fill two rows of 10; the greedy rule joins 5 and 4
    assert fewest(lengths, 10) == 2 and len(best_fit(lengths, 10)) == 3


def test_best_fit_takes_the_fullest_row_that_has_room_not_the_first():
    assert best_fit([6, 7, 3, 2, 4], 10) == [[1, 2], [0, 4], [3]]
    assert best_fit([5, 6, 4, 5], 10) == [[1, 2], [0, 3]]
    assert best_fit([], 10) == []


@given(texts, st.integers(1, 15))
@settings(max_examples=25, deadline=None)
def test_wrapping_fills_every_row_but_the_last_and_keeps_the_order(samples, length):
    wrapped = wrap(samples, length)
    real = wrapped.segments > 0
    assert wrapped.ids[real].tolist() == [i for s in samples for i in s]
    assert real[:-1].all() and len(real) == math.ceil(sum(map(len, samples)) / length)
    pieces = by_text(wrapped.ids, wrapped.segments)
    assert len(pieces) >= len(samples)
    assert (wrapped.labels[wrapped.positions == 0] == IGNORE).all()


def test_packed_and_unpacked_losses_are_equal_text_by_text():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 64, masks)
    assert len(packed.ids) < len(ids)
    logp = token_logp(model(packed.ids, segments=packed.segments), packed.ids)
    found = by_text(logp, packed.segments[:, 1:])
    order = [i for row in best_fit([len(i) for i in ids], 64) for i in row]
    for i, at in enumerate(order):
        alone = token_logp(model(torch.tensor([ids[at]])), torch.tensor([ids[at]]))[0]
        inside = found[i] if len(found[i]) == len(alone) else found[i][1:]  # a later text still has its first token
        torch.testing.assert_close(inside, alone, atol=1e-5, rtol=1e-5)


def test_a_packed_step_is_the_padded_step():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 64, masks)
    padded = next_token_loss(model, pad(ids), pad(masks, False))
    together = packed_loss(model, packed.ids, packed.segments, packed.labels)
    torch.testing.assert_close(together, padded, atol=1e-5, rtol=1e-5)
    ours, theirs = (torch.autograd.grad(loss, list(model.parameters())) for loss in (together, padded))
    for a, b in zip(ours, theirs):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_three_ways_to_pack_wrongly_move_the_loss():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 64, masks)
    right = packed_loss(model, packed.ids, packed.segments, packed.labels)
    one_text = torch.ones_like(packed.segments)
    leaked = packed_loss(model, packed.ids, one_text, packed.labels)
    everything = pack(ids, 64)
    crossing = everything.ids.where(everything.segments > 0, IGNORE)  # the first tokens are learned as well
    assert abs(leaked - right) > 1e-3
    right, crossed = (packed_loss(model, everything.ids, everything.segments, x) for x in (everything.labels, crossing))
    assert abs(crossed - right) > 1e-3


def test_each_leak_is_the_mistake_it_says():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 64, masks)
    as_one = torch.ones_like(packed.segments)
    read = lambda scheme: retold(model, scheme)(packed.ids, segments=packed.segments)  # noqa: E731
    right = model(packed.ids, segments=packed.segments)
    torch.testing.assert_close(read(leaks.BothWrong()), model(packed.ids, segments=as_one), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(read(leaks.RunOn()), right, atol=1e-4, rtol=1e-4)  # only differences of positions count
    assert not torch.allclose(read(leaks.OpenMask()), right, atol=1e-2)
    assert not torch.allclose(read(leaks.OpenMask()), read(leaks.BothWrong()), atol=1e-2)
    waves = TinyLM(dataclasses.replace(model.config, scheme=Sinusoidal()), rng(0))
    wrong = retold(waves, leaks.WavesRunOn())(packed.ids, segments=packed.segments)
    assert not torch.allclose(wrong, waves(packed.ids, segments=packed.segments), atol=1e-2)
    assert torch.equal(
        wrong[:, :8], waves(packed.ids, segments=packed.segments)[:, :8]
    )  # the first text of a row is right


def test_torchs_cross_entropy_of_the_labels_is_the_loss():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 96, masks)
    logits = model(packed.ids, segments=packed.segments)
    theirs = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), packed.labels[:, 1:].flatten())
    ours = packed_loss(model, packed.ids, packed.segments, packed.labels)
    torch.testing.assert_close(ours, theirs)


def test_training_on_rows_learns_the_answers():
    ids, masks = talks()
    model, packed = talker(), pack(ids, 96, masks)
    batches = packing.row_batches(packed, 1, lambda step: rng(0, "rows", step))
    records = list(train(model, batches, Plan(steps=40, lr=1e-2, warmup=5), loss=packed_loss))
    assert records[0]["loss"] > 4 and records[-1]["loss"] < 0.5
    assert [x.shape for x in batches(0)] == [(1, 96)] * 3
    assert all(torch.equal(a, b) for a, b in zip(batches(3), batches(3)))


def test_padded_positions_by_hand():
    assert padded_positions([3, 5, 1, 2], 2) == 2 * 5 + 2 * 2
    assert padded_positions([1, 2, 3, 5], 2) == 2 * 2 + 2 * 5 and padded_positions([4, 1, 1], 2) == 8 + 1
    assert padded_positions([3, 5, 1, 2], 4) == 20 and padded_positions([3, 5, 1, 2], 1) == 11


@pytest.mark.slow
def test_trl_packs_into_as_many_rows_and_the_hub_model_reads_them_alike():
    from datasets import Dataset
    from trl import pack_dataset

    lengths = torch.randint(2, 40, (300,), generator=rng(0, "lengths")).tolist()
    samples = [torch.randint(3, 290, (n,), generator=rng(0, "ids", i)).tolist() for i, n in enumerate(lengths)]
    ours = pack(samples, 64)
    theirs = pack_dataset(Dataset.from_dict({"input_ids": samples}), 64, strategy="bfd")
    assert len(ours.ids) == len(theirs)
    assert sorted(map(sorted, theirs["seq_lengths"])) == sorted(
        sorted(map(len, by_text(i[None], s[None]))) for i, s in zip(ours.ids, ours.segments)
    )
    wrapped = pack_dataset(Dataset.from_dict({"input_ids": samples}), 64, strategy="wrapped")
    mine = wrap(samples, 64)
    assert [i for row in wrapped["input_ids"] for i in row] == mine.ids[mine.segments > 0].tolist()
    model = talker()
    hf = model.to_transformers().eval()
    rows = ours.ids[:4], ours.segments[:4]
    for ids, segments, positions in zip(*rows, ours.positions[:4]):
        real = segments > 0  # the hub's models read a row of texts from positions that start anew
        logits = hf(input_ids=ids[real][None], position_ids=positions[real][None], use_cache=False).logits
        alone = model(ids[None], segments=segments[None])[0, real]
        torch.testing.assert_close(logits[0], alone, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("samples", "length", "masks", "says"),
    [
        ([], 8, None, "samples must be one or more"),
        ([[1, 2]], 8, [], "each with a mask, got 1 and 0 masks"),
        ([[1, 2], []], 8, None, "sample 1 must have a mask as long as its ids .* 0 ids .*: leave it out"),
        ([[1, 2], [3, 4]], 8, [[1, 1], [1]], "sample 1 must have a mask as long as its ids .* 2 ids and a mask of 1"),
        ([[1, 2, 3]], 8, [[True, False, False]], "marks a token with another before it, .* marks 1: leave it out"),
        ([[1, 2], [1] * 9], 8, None, "sample 1 has 9 tokens and does not fit in a row of 8: cut it"),
        ([[1, 2]], 0, None, "length must be a whole number of at least 1, got 0"),
        ([[1, 2]], 2.5, None, "length must be a whole number of at least 1, got 2.5"),
        ([[1, 2]], None, None, "length must be a whole number of at least 1, got None"),
    ],
)
def test_what_cannot_be_packed_is_named(samples, length, masks, says):
    with pytest.raises(ValueError, match=says):
        pack(samples, length, masks)


def test_wrapping_takes_long_texts_and_refuses_what_packing_refuses():
    assert wrap([[1] * 20], 8).segments.tolist() == [[1] * 8, [1] * 8, [1] * 4 + [0] * 4]
    for bad in ([], [[1, 2], []]):
        with pytest.raises(ValueError, match="sample"):
            wrap(bad, 8)
