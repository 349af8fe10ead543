"""The price of distance, and who sets it."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy.penalty import adapt, penalised


@pytest.mark.parametrize(
    "kl, after", [(0.0, 1.0), (0.0066, 1.0), (0.0067, 2.0), (0.01, 2.0), (0.0149, 2.0), (0.02, 4.0)]
)
def test_the_price_by_hand(kl, after):
    assert adapt(2.0, kl, 0.01).item() == after


def test_each_learner_has_its_own():
    found = adapt(torch.tensor([1.0, 1.0, 8.0]), torch.tensor([0.1, 0.02, 0.0]), 0.02)
    assert found.tolist() == [2.0, 1.0, 4.0]


@given(st.floats(1e-3, 1e3), st.floats(1e-4, 1.0), st.floats(0, 10))
def test_it_moves_by_a_factor_of_two_and_against_the_error(beta, target, kl):
    after = adapt(beta, kl, target).item() / torch.tensor(beta).item()
    assert after in (0.5, 1.0, 2.0)
    assert (after - 1) * (kl - target) >= 0


@pytest.mark.parametrize("beta", [1e-4, 1.0, 1e4])
def test_whatever_the_start_it_finds_the_price(beta):
    """A policy that goes 1/beta far: the KL ends within 1.5 of the target."""
    beta = torch.tensor(beta)
    for _ in range(40):
        beta = adapt(beta, 1 / beta, 0.05)
    assert 1 / 1.5 <= 1 / beta / 0.05 <= 1.5


@pytest.mark.parametrize("beta, target", [(0.0, 0.01), (-1.0, 0.01), (1.0, 0.0)])
def test_a_price_of_nothing(beta, target):
    with pytest.raises(ValueError, match="target and beta must be above 0"):
        adapt(beta, 0.1, target)


def test_the_penalty_is_taken_off():
    found = penalised(torch.tensor([1.5, 0.5]), torch.tensor([2.0, -1.0]), torch.tensor([0.1, 0.2]), 10.0)
    torch.testing.assert_close(found, torch.tensor([2.0, -2.5]))
