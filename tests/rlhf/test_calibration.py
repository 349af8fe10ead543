"""Ceilings by enumeration, calibration where the truth is known, and a scale found by brute force."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rlhf.calibration import calibration_error, ceiling, chance, likeliest_scale, reliability
from llmrl.seeds import rng

GAPS = torch.tensor([-2.0, -0.3, 0.0, 0.8, 4.0], dtype=torch.float64)


@pytest.mark.parametrize("noise", [0.0, 0.2, 0.7])
@pytest.mark.parametrize("temperature", [0.3, 1.0])
def test_no_way_of_betting_beats_the_ceiling_and_one_reaches_it(temperature, noise):
    """All 32 ways to bet on five pairs, each worth the mean chance of being right."""
    p = chance(GAPS, temperature, noise)
    bets = torch.tensor([[i >> j & 1 for j in range(5)] for i in range(32)], dtype=torch.float64)
    worth = (bets * p + (1 - bets) * (1 - p)).mean(1)
    assert worth.max().item() == pytest.approx(ceiling(GAPS, temperature, noise).item(), abs=1e-12)


def test_labels_are_met_as_often_as_the_ceiling_says():
    gap = torch.randn(20_000, generator=rng(0, "gaps"), dtype=torch.float64)
    won = torch.rand(20_000, generator=rng(0, "labels"), dtype=torch.float64) < chance(gap, 0.5, 0.1)
    met = ((gap > 0) == won).double().mean()
    assert met.item() == pytest.approx(ceiling(gap, 0.5, 0.1).item(), abs=0.012)  # four standard errors


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=30), st.floats(0.05, 5), st.floats(0, 0.5))
def test_a_ceiling_is_between_a_coin_and_certainty_and_noise_lowers_it(gaps, temperature, noise):
    gaps = torch.tensor(gaps, dtype=torch.float64)
    assert 0.5 - 1e-9 <= ceiling(gaps, temperature, noise) <= ceiling(gaps, temperature) + 1e-9 <= 1 + 2e-9


def test_what_is_said_rightly_has_no_calibration_error():
    said = torch.tensor([0.25] * 4 + [0.75] * 4)
    won = torch.tensor([True, False, False, False, True, True, True, False])
    assert calibration_error(said, won, 2).item() == pytest.approx(0.0, abs=1e-7)
    assert calibration_error(1 - said, won, 2).item() == pytest.approx(0.5, abs=1e-7)
    mean, share, count = reliability(said, won, 2)
    assert mean.tolist() == share.tolist() == [0.25, 0.75] and count.tolist() == [4, 4]


def test_bins_hold_equally_many_and_all():
    said = torch.rand(101, generator=rng(0, "said"))
    _, _, count = reliability(said, said > 0.5, 8)
    assert count.sum() == 101 and count.max() - count.min() <= 1


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_likeliest_scale_is_that_of_a_search(true):
    margin = 2 * torch.randn(4000, generator=rng(0, "margins"), dtype=torch.float64)
    won = torch.rand(4000, generator=rng(1, "margins"), dtype=torch.float64) < torch.sigmoid(true * margin)
    grid = torch.linspace(0.05, 5, 4951, dtype=torch.float64)
    signed = torch.where(won, margin, -margin)
    found = min(grid.tolist(), key=lambda a: torch.nn.functional.softplus(-a * signed).mean().item())
    assert likeliest_scale(margin, won).item() == pytest.approx(found, abs=2e-3)
    assert likeliest_scale(margin, won).item() == pytest.approx(true, rel=0.15)
    assert likeliest_scale(margin / 3, won).item() == pytest.approx(3 * found, abs=6e-3)


def test_bad_input():
    with pytest.raises(ValueError, match="temperature must be above 0"):
        chance(GAPS, 0.0)
    with pytest.raises(ValueError, match=r"noise in \[0, 1\]"):
        ceiling(GAPS, 1.0, 1.5)
    with pytest.raises(ValueError, match="one pair or more"):
        ceiling(GAPS[:0], 1.0)
    with pytest.raises(ValueError, match="take the sigmoid of a margin"):
        reliability(GAPS, GAPS > 0, 2)
    with pytest.raises(ValueError, match="bins from 1 to N"):
        reliability(torch.rand(3), torch.ones(3).bool(), 4)
    with pytest.raises(ValueError, match="if all are right, infinitely large ones are likelier"):
        likeliest_scale(torch.tensor([1.0, 2.0]), torch.tensor([True, True]))
