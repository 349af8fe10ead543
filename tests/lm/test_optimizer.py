"""AdamW and clipping, written out, against torch's own."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.optimizer import adamw_step, clip
from llmrl.seeds import rng


@pytest.mark.parametrize("weight_decay", [0.0, 0.5])
def test_ten_steps_are_torchs(weight_decay):
    weight = torch.randn(3, 4, generator=rng(0), dtype=torch.double)
    theirs, state = torch.nn.Parameter(weight.clone()), (0, 0.0, 0.0)
    optimizer = torch.optim.AdamW([theirs], lr=0.1, betas=(0.9, 0.95), weight_decay=weight_decay)
    for step in range(10):
        gradient = torch.randn(3, 4, generator=rng(step, "gradient"), dtype=torch.double)
        theirs.grad = gradient.clone()
        optimizer.step()
        weight, state = adamw_step(weight, gradient, state, 0.1, weight_decay)
        torch.testing.assert_close(weight, theirs.detach(), atol=1e-12, rtol=1e-12)


def test_the_first_step_is_as_long_as_the_rate_whatever_the_scale():
    for scale in (1e-3, 1.0, 1e6):
        weight, _ = adamw_step(torch.zeros(2), torch.tensor([scale, -scale]), (0, 0.0, 0.0), 0.1)
        assert weight.tolist() == pytest.approx([-0.1, 0.1], rel=1e-4)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=6), st.floats(0.1, 50))
def test_clipping_is_torchs(numbers, longest):
    weights = [torch.nn.Parameter(torch.zeros(())) for _ in numbers]
    for weight, number in zip(weights, numbers):
        weight.grad = torch.tensor(number)
    clipped, length = clip([weight.grad.clone() for weight in weights], longest)
    assert torch.nn.utils.clip_grad_norm_(weights, longest).item() == pytest.approx(length.item(), rel=1e-5)
    for ours, weight in zip(clipped, weights):
        assert ours.item() == pytest.approx(weight.grad.item(), rel=1e-4, abs=1e-6)


def test_a_short_gradient_and_no_gradient_stay():
    assert clip([torch.tensor([3.0, 4.0])], 6.0)[0][0].tolist() == [3, 4]
    assert clip([torch.zeros(2)], 1.0)[0][0].tolist() == [0, 0]
    assert clip([torch.tensor([3.0, 4.0])], math.inf)[0][0].tolist() == [3, 4]


@pytest.mark.parametrize("longest", [0, -1, math.nan])
def test_a_length_that_cannot_be(longest):
    with pytest.raises(ValueError, match="longest must be above 0"):
        clip([torch.ones(2)], longest)
