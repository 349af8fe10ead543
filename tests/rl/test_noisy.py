"""Stacks of layers against nn.Linear, and noise with the mean and the spread that the formula says."""

import math

import pytest
import torch
from torch import nn

from llmrl.rl.noisy import NoisyLinear, squashed
from llmrl.rl.stacked import StackedLinear
from llmrl.seeds import rng


def test_a_stack_is_so_many_layers_and_keeps_them_apart():
    stack, x = StackedLinear(3, 4, 2, rng(0, "stack")), torch.randn(3, 5, 4, generator=rng(0, "x"))
    for k in range(3):
        layer = nn.Linear(4, 2)
        layer.load_state_dict({"weight": stack.weight[k].T, "bias": stack.bias[k, 0]})
        torch.testing.assert_close(stack(x)[k], layer(x[k]))
    stack(x)[1].sum().backward()
    assert stack.weight.grad[[0, 2]].abs().sum() == 0 and stack.weight.grad[1].abs().sum() > 0


def test_a_stack_begins_where_nn_linear_begins():
    stack = StackedLinear(50, 16, 100, rng(0, "begin")).weight.detach()
    assert stack.abs().max() <= 0.25 and stack.std() == pytest.approx(nn.Linear(16, 5000).weight.std().item(), rel=0.02)


def test_a_stack_of_nothing_is_refused():
    with pytest.raises(ValueError, match="one or more networks, inputs and outputs, got 0, 4 and 2"):
        StackedLinear(0, 4, 2)


def test_squashed_noise_has_mean_zero_and_the_product_the_known_spread():
    x, y = (squashed(torch.randn(200_000, generator=rng(0, name), dtype=torch.float64)) for name in "xy")
    assert abs(x.mean()) < 0.01
    assert (x * y).var().item() == pytest.approx(2 / math.pi, abs=0.01)  # E|g|, squared


def test_noise_is_mean_plus_sigma_times_the_product():
    layer, x = NoisyLinear(2, 3, 4, rng(0, "layer")), torch.randn(2, 5, 3, generator=rng(0, "x"))
    quiet = layer(x)
    layer.draw(rng(0, "noise"))
    into, out = layer.noise
    for k in range(2):
        weight = layer.weight[k] + layer.sigma_weight[k] * torch.outer(into[k, :, 0], out[k, 0])
        torch.testing.assert_close(layer(x)[k], x[k] @ weight + layer.bias[k] + layer.sigma_bias[k] * out[k])
    torch.testing.assert_close(layer.eval()(x), quiet)
    assert not torch.allclose(layer.train()(x), quiet)


def test_sigma_begins_at_one_half_over_the_root_of_inputs_and_is_learned():
    layer = NoisyLinear(1, 16, 2, rng(0, "sigma"))
    assert (layer.sigma_weight == 0.125).all() and (layer.sigma_bias == 0.125).all()
    layer.draw(rng(0, "noise"))
    layer(torch.ones(1, 3, 16)).square().sum().backward()
    assert layer.sigma_weight.grad.abs().sum() > 0


def test_where_noise_only_costs_sigma_shrinks():
    layer, generator = NoisyLinear(1, 4, 1, rng(0, "shrink")), rng(0, "draws")
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.08)
    x = torch.randn(1, 64, 4, generator=generator)
    before = layer.sigma_weight.abs().mean().item()
    for _ in range(60):
        layer.draw(generator)
        optimizer.zero_grad()
        (layer(x) - x.sum(-1, keepdim=True)).square().mean().backward()
        optimizer.step()
    assert layer.sigma_weight.abs().mean().item() < 0.5 * before


def test_a_negative_sigma_is_refused():
    with pytest.raises(ValueError, match="sigma must be 0 or more, got -1"):
        NoisyLinear(1, 2, 2, sigma=-1)
