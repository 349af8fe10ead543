"""References that move, and a limit that is kept: by hand, against the closed form, and what is refused."""

import math

import pytest
import torch
from torch import nn

from llmrl.preference.reference import dual_step, frozen, hard_update, lagrangian, soft_update


def pair():
    model, reference = nn.Linear(2, 1, bias=False), nn.Linear(2, 1, bias=False)
    nn.init.constant_(model.weight, 1.0)
    nn.init.constant_(reference.weight, 3.0)
    return reference, model


@pytest.mark.parametrize("alpha, expected", [(0.0, 3.0), (0.25, 2.5), (1.0, 1.0)])
def test_soft_by_hand(alpha, expected):
    reference, model = pair()
    soft_update(reference, model, alpha)
    assert (reference.weight == expected).all() and (model.weight == 1.0).all()


def test_a_still_model_is_approached_geometrically():
    reference, model = pair()
    for _ in range(7):
        soft_update(reference, model, 0.3)
    torch.testing.assert_close(reference.weight.detach(), torch.full((1, 2), 1 + 2 * 0.7**7))


def test_hard_copies_after_every_so_many_steps():
    reference, model = pair()
    assert [hard_update(reference, model, step, 3) for step in range(7)] == [False, False, True] * 2 + [False]
    assert (reference.weight == 1.0).all()


def test_a_reference_takes_no_gradients_and_does_not_follow():
    _, model = pair()
    reference = frozen(model)
    assert not any(p.requires_grad for p in reference.parameters())
    with torch.no_grad():
        model.weight.add_(1.0)
    assert (reference.weight == 1.0).all() and all(p.requires_grad for p in model.parameters())


def test_the_multiplier_finds_the_price_of_the_limit():
    """min (x-3)^2 with x^2 <= 1: x = 1, and 2 (x-3) + 2 lambda x = 0 there, so lambda = 2."""
    multiplier = 0.0
    for _ in range(400):
        x = 3 / (1 + multiplier)  # where the Lagrangian is least
        assert lagrangian((x - 3) ** 2, x**2, multiplier, 1.0) <= (1 - 3) ** 2 + 1e-9  # never above the optimum
        multiplier = dual_step(multiplier, x**2, 1.0, 0.2)
    assert multiplier == pytest.approx(2.0, abs=1e-6) and x == pytest.approx(1.0, abs=1e-6)


def test_a_limit_that_is_kept_costs_nothing():
    assert dual_step(0.1, kl=0.5, limit=2.0, rate=1.0) == 0.0


@pytest.mark.parametrize("alpha", [-0.1, 1.1, math.nan])
def test_alpha_is_a_share(alpha):
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got"):
        soft_update(*pair(), alpha)


@pytest.mark.parametrize("other", [nn.Linear(3, 1, bias=False), nn.Linear(2, 1), nn.Sequential(nn.Linear(2, 1))])
def test_another_kind_of_model_is_refused(other):
    with pytest.raises(ValueError, match=r"same parameters as its model, .*frozen\(model\)"):
        soft_update(pair()[0], other, 0.5)


def test_a_reference_that_is_the_model_is_refused():
    _, model = pair()
    with pytest.raises(ValueError, match="reference and model share weight"):
        soft_update(model, model, 0.5)


@pytest.mark.parametrize("every", [0, -1, 1.5])
def test_every_counts_steps(every):
    with pytest.raises(ValueError, match="every must be a whole number of at least 1"):
        hard_update(*pair(), 0, every)


@pytest.mark.parametrize("limit, rate, multiplier", [(0.0, 0.1, 0.0), (1.0, 0.0, 0.0), (1.0, 0.1, -1.0)])
def test_a_price_that_cannot_be_found(limit, rate, multiplier):
    with pytest.raises(ValueError, match="limit and rate must be above 0"):
        dual_step(multiplier, 1.0, limit, rate)
