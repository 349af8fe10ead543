"""The best rate of a parabola, a power law found again, and the step that suits a noisy gradient, against a grid."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.tuning.rates import best_step, power, vertex


@given(st.floats(-7, -4), st.floats(0.1, 3), st.lists(st.floats(0.3, 1), min_size=6, max_size=8))
@settings(max_examples=50, deadline=None)
def test_the_vertex_of_a_parabola_is_found_between_uneven_rates(best, bend, gaps):
    logs = [best - sum(gaps) / 2 + sum(gaps[:i]) for i in range(len(gaps) + 1)]
    losses = [1 + bend * (x - best) ** 2 for x in logs]
    assert vertex([math.exp(x) for x in logs], losses) == pytest.approx(math.exp(best), rel=1e-6)


def test_at_the_edge_it_is_the_best_that_was_tried():
    assert vertex([1e-3, 2e-3, 4e-3], [1.0, 2.0, 3.0]) == pytest.approx(1e-3)
    assert vertex([1e-3, 2e-3, 4e-3], [3.0, 2.0, 1.0]) == pytest.approx(4e-3)


def test_a_power_law_is_found_again():
    assert power([4, 16, 64], [3 * n**0.5 for n in (4, 16, 64)]) == pytest.approx(0.5)
    assert power([2, 8], [1.0, 1.0]) == pytest.approx(0)


def test_best_step_is_linear_first_and_then_flat():
    steps = [best_step(B, 50.0) for B in (1, 2, 5000, 10000)]
    assert steps[1] / steps[0] == pytest.approx(2, rel=0.03) and steps[3] / steps[2] == pytest.approx(1, rel=0.01)
    assert best_step(50, 50.0, largest=0.3) == pytest.approx(0.15)


def test_best_step_is_the_lowest_of_a_grid_on_a_noisy_quadratic():
    """Loss h w^2 / 2 at w = 1 with gradient noise s^2 / B: the expected loss after a step is known without a draw."""
    h, variance, B = 2.0, 12.0, 4
    steps = torch.linspace(0.001, 1, 4000, dtype=torch.float64)
    expected = h / 2 * ((1 - steps * h) ** 2 + steps**2 * variance / B)
    found = best_step(B, variance / h**2, largest=1 / h)
    assert steps[expected.argmin()].item() == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize(
    ("rates", "losses"),
    [([1, 2], [1, 2]), ([1, 2, 3], [1, 2]), ([3, 2, 1], [1, 0, 1]), ([1, 2, 3], [1, math.nan, 2]), ([], [])],
)
def test_rates_that_have_no_best(rates, losses):
    with pytest.raises(ValueError, match="three rates or more, growing, each with a finite loss"):
        vertex(torch.tensor(rates, dtype=torch.float64), torch.tensor(losses, dtype=torch.float64))
