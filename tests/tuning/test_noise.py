"""The noise of gradients: by hand, by enumerating every batch, and against autograd."""

from itertools import product

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, talker

from llmrl.lm.training import next_token_loss, pad
from llmrl.seeds import rng
from llmrl.tuning import sft
from llmrl.tuning.noise import batch_gradient, from_two_sizes, noise_scale, residuals, sample_gradients

ONES = torch.ones(4, dtype=torch.long)


def test_by_hand_on_four_gradients():
    sums = torch.tensor([[3.0], [1.0], [5.0], [3.0]])  # mean 3, deviations 0, -2, 2, 0
    assert batch_gradient(sums, ONES).item() == 3
    assert residuals(sums, ONES).flatten().tolist() == [0, -2, 2, 0]
    variance = 8 / 3
    assert noise_scale(sums, ONES) == pytest.approx(variance / (9 - variance / 4))


def test_gradients_of_samples_add_up_to_that_of_their_batch():
    model, samples = talker(), sft.samples(TALKS, bpe())
    sums, counts = sample_gradients(model, samples)
    ids, masks = zip(*samples)
    loss = next_token_loss(model, pad(ids), pad(masks, False))
    theirs = torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(model.parameters()))])
    assert counts.tolist() == [sum(m) for m in masks] and sums.shape == (3, theirs.numel())
    torch.testing.assert_close(batch_gradient(sums, counts), theirs, atol=1e-6, rtol=1e-4)


def test_signal_and_noise_by_enumerating_every_batch():
    """Every ordered batch with repetition, of samples of equal length: the law holds exactly."""
    sums = torch.randn(4, 3, generator=rng(0, "sums")).double() + 1
    G, trace = sums.mean(0), residuals(sums, ONES).square().sum(1).mean()
    for B in (1, 2, 3):
        lengths = [batch_gradient(sums[list(i)], ONES[:B]).square().sum() for i in product(range(4), repeat=B)]
        torch.testing.assert_close(torch.stack(lengths).mean(), G.square().sum() + trace / B)


def test_the_estimate_is_without_bias_where_it_can_be():
    """Over all pairs drawn with repetition, spread and signal have the means they should."""
    sums = torch.randn(5, 2, generator=rng(1, "sums")).double() + 1
    ones = torch.ones(2, dtype=torch.long)
    spreads, signals = [], []
    for pair in product(range(5), repeat=2):
        chosen = sums[list(pair)]
        spread = residuals(chosen, ones).square().sum()
        spreads.append(spread)
        signals.append(batch_gradient(chosen, ones).square().sum() - spread / 2)
    trace = residuals(sums, torch.ones(5, dtype=torch.long)).square().sum(1).mean()
    torch.testing.assert_close(torch.stack(spreads).mean(), trace)
    torch.testing.assert_close(torch.stack(signals).mean(), sums.mean(0).square().sum())


@given(st.floats(0.1, 10), st.floats(0.1, 10), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=40, deadline=None)
def test_two_sizes_tell_signal_and_noise(signal, trace, small, more):
    sizes = small, small + more
    found = from_two_sizes(*(signal + trace / B for B in sizes), sizes)
    assert found == pytest.approx((signal, trace), rel=1e-6)


def test_residuals_are_the_first_order_of_a_ratio():
    """A step of weight from one sample to the others moves the token mean along its residual."""
    sums, counts = torch.randn(6, 3, generator=rng(2, "sums")).double(), torch.tensor([1, 5, 2, 2, 9, 3])
    weights = torch.ones(6, dtype=torch.float64, requires_grad=True)
    mean = (weights[:, None] * sums).sum(0) / (weights * counts).sum()
    for j in range(3):
        (slope,) = torch.autograd.grad(mean[j], weights, retain_graph=True)
        torch.testing.assert_close(6 * slope, residuals(sums, counts)[:, j], atol=1e-6, rtol=1e-5)


def test_no_signal_is_an_endless_scale():
    assert noise_scale(torch.tensor([[1.0], [-1.0]]), ONES[:2]) == float("inf")


def test_one_sample_has_no_spread():
    for sums, counts in ((torch.ones(1, 2), ONES[:1]), (torch.ones(3, 2), ONES)):
        with pytest.raises(ValueError, match="needs the gradients and token counts of two samples or more"):
            noise_scale(sums, counts)


@pytest.mark.parametrize("sizes", [(4, 4), (8, 2), (0, 4)])
def test_two_sizes_that_tell_nothing(sizes):
    with pytest.raises(ValueError, match="sizes must be a smaller and a larger batch"):
        from_two_sizes(1.0, 0.5, sizes)


def test_gradients_that_are_not_numbers_are_named():
    sums = torch.tensor([[1.0], [float("nan")]])
    with pytest.raises(ValueError, match="sample 1 has a gradient that is not finite"):
        noise_scale(sums, ONES[:2])
