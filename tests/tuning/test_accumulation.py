"""Micro-batches against the batch they were cut from, by hand, by identity, and against transformers' own loss."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, talker

from llmrl.lm.training import next_token_loss, pad
from llmrl.tuning import accumulation, sft
from llmrl.tuning.accumulation import accumulate, equal_weights, gap, rank_scales, split, token_weights


def batch():
    ids, masks = zip(*sft.samples([*TALKS, *TALKS[:1]], bpe()))
    return pad(ids), pad(masks, False)


def gradients(model):
    found = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    return found


def far(ours, theirs):
    return max((a - b).abs().max().item() for a, b in zip(ours, theirs))


def test_weights_by_hand():
    assert token_weights(torch.tensor([1, 3])).tolist() == [0.25, 0.75]
    assert equal_weights(torch.tensor([1, 3])).tolist() == [0.5, 0.5]
    assert rank_scales(torch.tensor([1, 3])).tolist() == [0.5, 1.5]
    means, counts = torch.tensor([4.0, 2.0]), torch.tensor([1, 3])
    assert (equal_weights(counts) @ means).item() == 3.0 and (token_weights(counts) @ means).item() == 2.5
    assert gap(counts, means).item() == 0.5


@given(st.lists(st.tuples(st.integers(0, 50), st.floats(-5, 5)), min_size=1, max_size=8), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_the_gap_is_what_the_two_means_differ_by(pairs, width):
    counts = torch.tensor([n for n, _ in pairs])
    if counts.sum() == 0:
        return
    means = torch.tensor([[m * (j + 1) - j for j in range(width)] for _, m in pairs], dtype=torch.float64)
    wrong, right = equal_weights(counts).double() @ means, token_weights(counts.double()) @ means
    torch.testing.assert_close(gap(counts, means), wrong - right, atol=1e-6, rtol=1e-6)


def test_without_a_spread_of_lengths_or_of_losses_there_is_no_gap():
    assert gap(torch.tensor([5, 5, 5]), torch.tensor([1.0, 2.0, 9.0])).item() == 0
    assert gap(torch.tensor([1, 5, 9]), torch.tensor([2.0, 2.0, 2.0])).item() == 0


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
def test_weighed_by_tokens_micro_batches_are_the_batch(rows):
    model, (ids, mask) = talker(), batch()
    whole = next_token_loss(model, ids, mask)
    whole.backward()
    one = gradients(model)
    value = accumulate(model, split(ids, mask, rows))
    assert value == pytest.approx(whole.item(), abs=1e-6)
    assert far(gradients(model), one) < 1e-6


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_equally_weighed_they_are_not(rows):
    model, (ids, mask) = talker(), batch()
    next_token_loss(model, ids, mask).backward()
    one, pieces = gradients(model), split(ids, mask, rows)
    value = accumulate(model, pieces, equal_weights)
    means = torch.stack([next_token_loss(model, *piece) for piece in pieces])
    assert value == pytest.approx(means.mean().item(), abs=1e-6)
    assert far(gradients(model), one) > 1e-3


def test_the_gap_of_gradients_is_the_gap():
    model, (ids, mask) = talker(), batch()
    pieces = split(ids, mask, 1)
    each = []
    for piece in pieces:
        next_token_loss(model, *piece).backward()
        each.append(model.embed.weight.grad.clone())
        model.zero_grad()
    sides = []
    for weights_of in (equal_weights, token_weights):
        accumulate(model, pieces, weights_of)
        sides.append(gradients(model)[0])
    expected = gap(accumulation.learned(pieces), torch.stack(each))
    torch.testing.assert_close(sides[0] - sides[1], expected, atol=1e-6, rtol=1e-4)


def test_ranks_that_average_gradients_need_their_scales():
    """Every rank scales its mean, all average: the batch's gradient on every one."""
    model, (ids, mask) = talker(), batch()
    next_token_loss(model, ids, mask).backward()
    one, pieces = gradients(model), split(ids, mask, 2)
    for scales, right in ((rank_scales(accumulation.learned(pieces)), True), (torch.ones(2), False)):
        ranks = []
        for scale, piece in zip(scales, pieces):
            (scale * next_token_loss(model, *piece)).backward()
            ranks.append(gradients(model))
        averaged = [(a + b) / 2 for a, b in zip(*ranks)]
        assert (far(averaged, one) < 1e-6) == right


def test_transformers_divides_by_the_items_it_is_told():
    model, (ids, mask) = talker(), batch()
    hf, items = model.to_transformers(), mask[:, 1:].sum()
    theirs = sum(
        hf(input_ids=i, labels=i.where(m, -100), num_items_in_batch=items, use_cache=False).loss
        for i, m in split(ids, mask, 1)
    )
    torch.testing.assert_close(theirs, next_token_loss(model, ids, mask), atol=1e-5, rtol=1e-5)
    unaware = torch.stack([hf(input_ids=i, labels=i.where(m, -100)).loss for i, m in split(ids, mask, 1)]).mean()
    assert abs(unaware - theirs) > 1e-3


@pytest.mark.parametrize("counts", [[], [0, 0], [-1, 2], [[1, 2]], 3])
def test_counts_that_weigh_nothing(counts):
    with pytest.raises(ValueError, match="counts must be one number of learned tokens per micro-batch"):
        token_weights(counts)


@pytest.mark.parametrize("rows", [0, -1, 1.5, True, None])
def test_micro_batches_of_no_size(rows):
    with pytest.raises(ValueError, match="rows must be a whole number of at least 1, got"):
        split(*batch(), rows)


def rank_gradient(rank, store, folder):
    """What one of two real processes has after torch's DistributedDataParallel averaged."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    parts = split(*batch(), 3)  # 3 sequences and 1: unequal counts
    scale = rank_scales(accumulation.learned(parts))[rank]
    model = torch.nn.parallel.DistributedDataParallel(talker())
    (scale * next_token_loss(model, *parts[rank])).backward()
    torch.save(gradients(model.module), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_under_torchs_wrapper_have_the_batchs_gradient(tmp_path):
    torch.multiprocessing.spawn(rank_gradient, (str(tmp_path / "store"), str(tmp_path)), nprocs=2)
    model = talker()
    next_token_loss(model, *batch()).backward()
    one = gradients(model)
    for rank in range(2):
        assert far(torch.load(tmp_path / f"{rank}.pt", weights_only=True), one) < 1e-6
