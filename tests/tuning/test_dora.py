"""DoRA: lengths and directions apart, the gradient of a constant length, and peft's numbers."""

import copy

import pytest
import torch
from family import draw, in_peft, linear, lively_adapter, theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import talker

from llmrl.lm.training import next_token_loss
from llmrl.tuning.dora import DoRALinear, moved, rescaled
from llmrl.tuning.lora import ALL, LoRALinear, adapt, adapters, merge, trainable, unmerge

IDS = torch.arange(1, 25).view(2, 12)


def trained(bias=False):
    """A layer in the middle of training."""
    layer = lively_adapter(DoRALinear(linear(bias=bias), 3, 6.0))
    with torch.no_grad():
        layer.magnitude *= torch.linspace(0.5, 2, 7)
    return layer


def test_by_hand_on_four_numbers():
    direction = torch.tensor([[3.0, 4.0], [0.0, 2.0]])  # rows of length 5 and 2
    assert rescaled(direction, torch.tensor([10.0, 1.0])).tolist() == [[6.0, 8.0], [0.0, 1.0]]


def test_lengths_and_turns_by_hand():
    before, after = torch.tensor([[3.0, 4.0], [0.0, 2.0]]), torch.tensor([[6.0, 8.0], [1.0, 0.0]])
    longer, turned = moved(after, before)
    torch.testing.assert_close(longer, torch.tensor([1.0, 0.5]))  # twice as long; half as long
    torch.testing.assert_close(turned, torch.tensor([0.0, 1.0]))  # the same way; at a right angle


@pytest.mark.parametrize("bias", [False, True])
def test_nothing_changes_at_the_start(bias):
    plain, x = linear(bias=bias), draw(2, 5, 10)
    torch.testing.assert_close(DoRALinear(copy.deepcopy(plain), 3, 6.0)(x), plain(x))


@pytest.mark.parametrize("bias", [False, True])
def test_the_output_is_that_of_the_rescaled_matrix(bias):
    layer, x = trained(bias), draw(2, 5, 10)
    weight = layer.linear.weight + 2.0 * layer.B @ layer.A
    weight = weight / weight.square().sum(1, keepdim=True).sqrt() * layer.magnitude[:, None]
    torch.testing.assert_close(layer(x), x @ weight.T + (layer.linear.bias if bias else 0), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.linear.weight + layer.delta(), weight, atol=1e-6, rtol=1e-6)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 99))
def test_rows_are_as_long_as_the_magnitude_says(rank, inputs, rows, seed):
    plain = linear(inputs, rows, seed=seed)
    if rank > min(inputs, rows):
        with pytest.raises(ValueError, match=f"rank must be a whole number from 1 to {min(inputs, rows)}"):
            DoRALinear(plain, rank, 1.0)
        return
    layer = lively_adapter(DoRALinear(plain, rank, 1.0), seed)
    changed = layer.linear.weight + layer.delta()
    torch.testing.assert_close(changed.norm(dim=1), layer.magnitude, atol=1e-5, rtol=1e-4)
    assert layer(draw(0, 3, inputs)).shape == (0, 3, rows) and layer(draw(inputs)).shape == (rows,)


def test_the_length_is_a_constant_for_the_gradient():
    layer, x, pull = trained(), draw(4, 10), draw(4, 7)
    (layer(x) * pull).sum().backward()
    A, B, m = (p.detach().clone().requires_grad_() for p in (layer.A, layer.B, layer.magnitude))
    direction = layer.linear.weight + layer.scale * B @ A
    through = rescaled(direction, m)
    constant = direction * (m / direction.norm(dim=1).detach())[:, None]
    for weight, same in ((constant, True), (through, False)):
        found = torch.autograd.grad((x @ weight.T * pull).sum(), (A, B, m), retain_graph=True)
        close = [
            torch.allclose(a, b, atol=1e-4) for a, b in zip(found, (layer.A.grad, layer.B.grad, layer.magnitude.grad))
        ]
        assert close == [same, same, True]
    assert layer.linear.weight.grad is None


def test_merging_and_taking_out_again():
    layer, x = trained(), draw(5, 10)
    W, y, change = layer.linear.weight.clone(), layer(x), layer.delta()
    torch.testing.assert_close(merge(layer)(x), y, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.linear.weight.norm(dim=1), layer.magnitude.detach(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer.delta(), change, atol=1e-5, rtol=1e-5)  # known while it is merged, too
    torch.testing.assert_close(unmerge(layer).linear.weight, W, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(layer(x), y, atol=1e-5, rtol=1e-5)


def test_merging_twice_is_refused():
    layer = merge(trained())
    with pytest.raises(ValueError, match="merged already"):
        merge(layer)


def test_it_trains_one_number_per_row_more_than_lora():
    assert trainable(DoRALinear(linear(), 3, 6.0)) == trainable(LoRALinear(linear(), 3, 6.0)) + 7


@pytest.mark.parametrize(
    ("value", "said"), [(0.0, "row 4 .* length 0, and so no direction"), (torch.nan, "length nan")]
)
def test_a_row_without_a_direction_is_named(value, said):
    plain = linear()
    with torch.no_grad():
        plain.weight[4] = value
    with pytest.raises(ValueError, match=said):
        DoRALinear(plain, 3, 6.0)


@pytest.mark.slow
def test_peft_has_the_same_outputs_gradients_and_merged_weights():
    from peft import LoraConfig

    base = talker()
    hf = in_peft(base, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", use_dora=True))
    ours = adapt(copy.deepcopy(base), ALL, lambda plain: DoRALinear(plain, 4, 6.0))
    pairs = [(layer, theirs(hf, name)) for name, layer in adapters(ours).items()]
    for layer, peer in pairs:
        lively_adapter(layer)
        torch.testing.assert_close(peer.lora_magnitude_vector.default.weight, layer.magnitude)
        with torch.no_grad():
            layer.magnitude *= 1.3
            peer.lora_magnitude_vector.default.weight.copy_(layer.magnitude)
            peer.lora_A.default.weight.copy_(layer.A)
            peer.lora_B.default.weight.copy_(layer.B)
    torch.testing.assert_close(ours(IDS), hf(IDS).logits, atol=1e-4, rtol=1e-5)
    assert (ours(IDS) - base(IDS)).abs().max() > 1
    for model in (ours, lambda ids: hf(ids).logits):
        next_token_loss(model, IDS, torch.ones_like(IDS, dtype=torch.bool)).backward()
    for layer, peer in pairs:
        found = peer.lora_A.default, peer.lora_B.default, peer.lora_magnitude_vector.default
        for mine, other in zip((layer.A, layer.B, layer.magnitude), found):
            torch.testing.assert_close(mine.grad, other.weight.grad, atol=1e-5, rtol=1e-4)
    merge(ours)
    merged = hf.merge_and_unload().model.layers[1].mlp.up_proj.weight
    torch.testing.assert_close(ours.layers[1].ffn.up.linear.weight, merged, atol=1e-5, rtol=1e-5)
