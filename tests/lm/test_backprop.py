"""Every gradient by hand is autograd's, and what is said to be kept is what torch keeps."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.backprop import backward, cross_entropy_backward, forward, linear_backward
from llmrl.lm.saved import saved
from llmrl.seeds import rng


def network(*widths):
    draw = rng(0, "network", *widths)
    pairs = list(zip(widths, widths[1:]))
    return [
        (torch.randn(o, d, generator=draw, dtype=torch.float64), torch.randn(o, generator=draw, dtype=torch.float64))
        for d, o in pairs
    ]


def examples(B, D, V):
    draw = rng(0, "examples")
    return torch.randn(B, D, generator=draw, dtype=torch.float64), torch.randint(V, (B,), generator=draw)


@given(st.integers(1, 4), st.lists(st.integers(1, 5), min_size=2, max_size=6))
def test_all_gradients_are_autograds(B, widths):
    layers, (x, labels) = network(*widths), examples(B, widths[0], widths[-1])
    kept = forward(x, layers)
    in_kept, in_layers = backward(kept, layers, cross_entropy_backward(kept[-1], labels))
    parameters = [p.requires_grad_() for layer in layers for p in layer]
    kept = forward(x.requires_grad_(), layers)
    wanted = torch.autograd.grad(F.cross_entropy(kept[-1], labels), [*kept, *parameters])
    torch.testing.assert_close([*in_kept, *(g for pair in in_layers for g in pair)], list(wanted))


def test_what_is_kept_is_what_torch_keeps():
    layers, (x, labels) = network(6, 5, 7, 4, 3), examples(8, 6, 3)
    kept = forward(x, layers)
    parameters = [p.requires_grad_() for layer in layers for p in layer]
    found = saved(lambda: F.cross_entropy(forward(x, layers)[-1], labels), parameters)
    assert [s.shape for s in found[:5]] == [tuple(t.shape) for t in kept]
    assert [s.bytes for s in found[:5]] == [t.numel() * 8 for t in kept]
    used = [s.used for s in found[:5]]
    assert used == sorted(used, reverse=True) and all(s.used > s.stored for s in found)  # last in, first out


def test_without_a_backward_pass_nothing_is_taken_out():
    layers, (x, labels) = network(3, 3), examples(2, 3, 3)
    layers[0][0].requires_grad_()
    found = saved(lambda: F.cross_entropy(forward(x, layers)[-1], labels), [layers[0][0]], backward=False)
    assert found and all(s.used is None for s in found)


@pytest.mark.parametrize("wrong", [lambda g, x, w: x.T @ g, lambda g, x, w: g.T @ x / len(g)])
def test_a_wrong_gradient_of_the_weight_is_seen(wrong):
    (weight, bias), (x, labels) = network(3, 3)[0], examples(4, 3, 3)
    grad = cross_entropy_backward(x @ weight.T + bias, labels)
    assert not torch.allclose(linear_backward(grad, x, weight)[1], wrong(grad, x, weight))
