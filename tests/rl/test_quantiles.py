"""The quantile loss by a double loop, and where its minimum lies."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.quantiles import midpoints, quantile_huber
from llmrl.seeds import rng


def double_loop(predicted, target, kappa):
    total = 0.0
    for i, theta in enumerate(predicted):
        tau = (2 * i + 1) / (2 * len(predicted))
        for y in target:
            u = y - theta
            size = abs(u) if kappa == 0 else (u * u / 2 if abs(u) <= kappa else kappa * (abs(u) - kappa / 2)) / kappa
            total += abs(tau - (u < 0)) * size / len(target)
    return total


floats = st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=6)


@settings(deadline=None, max_examples=40)
@given(floats, floats, st.sampled_from([0.0, 0.5, 1.0]))
def test_the_loss_is_the_double_loop(predicted, target, kappa):
    found = quantile_huber(torch.tensor(predicted).double(), torch.tensor(target).double(), kappa)
    assert found.item() == pytest.approx(double_loop(predicted, target, kappa), abs=1e-6)


def fitted(target, count, kappa):
    places = torch.zeros(count, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.Adam([places], lr=0.2)
    for step in range(120):
        optimizer.param_groups[0]["lr"] = 0.2 * (1 - step / 120)
        optimizer.zero_grad()
        quantile_huber(places, target, kappa).backward()
        optimizer.step()
    return places.detach()


def test_its_minimum_are_the_quantiles_and_with_a_large_kappa_no_more():
    target = torch.randn(101, generator=rng(0, "target"), dtype=torch.float64).exp()  # skewed
    wanted = torch.quantile(target, midpoints(4).double())
    assert (fitted(target, 4, 0.0) - wanted).abs().max() < 0.05
    assert (fitted(target, 4, 0.05) - wanted).abs().max() < 0.07
    assert (fitted(target, 4, 5.0) - wanted).abs().max() > 0.15


def test_the_parabola_alone_finds_the_mean():
    target = torch.tensor([0.0, 0.0, 9.0]).double()
    assert fitted(target, 1, 100.0).item() == pytest.approx(3.0, abs=0.01)  # one place, a parabola only: the mean
    assert fitted(target, 1, 0.0).item() == pytest.approx(0.0, abs=0.05)  # the median


def test_leading_dimensions_and_levels():
    predicted, target = torch.randn(2, 3, 4), torch.randn(2, 3, 5)
    whole = quantile_huber(predicted, target)
    assert whole.shape == (2, 3)
    torch.testing.assert_close(whole[1, 2], quantile_huber(predicted[1, 2], target[1, 2]))
    assert midpoints(4).tolist() == [0.125, 0.375, 0.625, 0.875]


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="at least one quantile is needed, got 0"):
        midpoints(0)
    with pytest.raises(ValueError, match="kappa must be 0 or more, got -1"):
        quantile_huber(torch.zeros(2), torch.zeros(2), -1)
