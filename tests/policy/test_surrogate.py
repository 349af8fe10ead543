"""The clipped surrogate: value and gradient in each of its corners, and the versions that are wrong in one of them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy.surrogate import clip

CORNERS = [  # ratio, advantage, objective, its gradient in the ratio
    (1.5, 1.0, 1.2, 0.0),  # better, and already far enough
    (0.5, 1.0, 0.5, 1.0),  # better, and made rarer by mistake: corrected
    (1.5, -1.0, -1.5, -1.0),  # worse, and made more frequent by mistake: corrected
    (0.5, -1.0, -0.8, 0.0),  # worse, and already far enough
    (1.1, 2.0, 2.2, 2.0),
    (0.9, -2.0, -1.8, -2.0),
    (1.0, 1.0, 1.0, 1.0),
    (1.0, -1.0, -1.0, -1.0),
    (1.5, 0.0, 0.0, 0.0),
]


def at(function, ratio, adv):
    ratio = torch.tensor([ratio], requires_grad=True)
    value = function(ratio, torch.tensor([adv]))
    return value.item(), torch.autograd.grad(value, ratio)[0].item()


@pytest.mark.parametrize("ratio, adv, value, slope", CORNERS)
def test_each_corner_by_hand(ratio, adv, value, slope):
    assert at(clip, ratio, adv) == pytest.approx((value, slope))


def clipped(ratio):
    return ratio.clamp(0.8, 1.2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r, a: r * a,
        lambda r, a: clipped(r) * a,
        lambda r, a: torch.maximum(r * a, clipped(r) * a),
        lambda r, a: torch.minimum(r, clipped(r)) * a,
        lambda r, a: torch.where(a > 0, torch.minimum(r * a, clipped(r) * a), torch.maximum(r * a, clipped(r) * a)),
        lambda r, a: torch.minimum(r * a, r.clamp(0.2, 0.2) * a),
    ],
    ids=["never clipped", "always clipped", "the larger", "clipped before the sign", "inverted below zero", "epsilon"],
)
def test_every_wrong_version_is_wrong_in_some_corner(wrong):
    assert any(at(wrong, r, a) != pytest.approx((value, slope)) for r, a, value, slope in CORNERS)


@given(st.floats(0.01, 10), st.floats(-3, 3), st.floats(0, 0.9), st.floats(0, 2))
def test_it_is_never_above_the_plain_objective_and_never_above_the_clipped(ratio, adv, low, high):
    ratio, adv = torch.tensor(ratio), torch.tensor(adv)
    assert clip(ratio, adv, low, high) <= ratio * adv
    assert clip(ratio, adv, low, high) == torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)


def test_the_two_bounds_are_separate():
    assert at(lambda r, a: clip(r, a, 0.2, 0.5), 1.4, 1.0) == pytest.approx((1.4, 1.0))
    assert at(lambda r, a: clip(r, a, 0.6, 0.2), 0.5, -1.0) == pytest.approx((-0.5, -1.0))


def test_one_advantage_per_answer_serves_all_its_tokens():
    ratio, adv = torch.tensor([[1.0, 1.5], [0.5, 1.0]]), torch.tensor([1.0, -1.0])
    torch.testing.assert_close(clip(ratio, adv[:, None]), torch.tensor([[1.0, 1.2], [-0.8, -1.0]]))
    with pytest.raises(ValueError, match=r"adv must have as many axes as ratio.*adv\[:, None\]"):
        clip(ratio, adv)  # would weigh tokens by their position


@pytest.mark.parametrize("low, high", [(-0.1, 0.2), (1.0, 0.2), (0.2, -0.1), (math.nan, 0.2), (0.2, math.nan)])
def test_bounds_that_exclude_one(low, high):
    with pytest.raises(ValueError, match=r"the ratio is kept in \[1-low, 1\+high\]"):
        clip(torch.ones(1), torch.ones(1), low, high)
