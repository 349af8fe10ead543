"""Norms average over the axes they say: torch's own layers agree, and what should not change does not."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from llmrl.lm.norms import batch_norm, layer_norm, remember, rms_norm
from llmrl.lm.operations import operations
from llmrl.seeds import rng


def some(*shape, seed=0):
    return torch.randn(shape, generator=rng(seed, "norms"))


def filled(layer):
    """A torch layer whose weight and bias are not one and zero."""
    with torch.no_grad():
        for seed, p in enumerate(layer.parameters()):
            p.copy_(some(*p.shape, seed=seed))
    return layer


@given(st.lists(st.integers(1, 4), min_size=0, max_size=3), st.integers(1, 6))
def test_layer_and_rms_norm_are_torchs(shape, width):
    x = some(*shape, width)
    layer, rms = filled(nn.LayerNorm(width)), filled(nn.RMSNorm(width, eps=1e-5))
    torch.testing.assert_close(layer_norm(x, layer.weight, layer.bias), layer(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(rms_norm(x, rms.weight), rms(x), atol=1e-5, rtol=1e-5)


@given(st.integers(1, 4), st.integers(2, 5), st.integers(1, 5))
def test_batch_norm_is_torchs_while_training_and_afterwards(B, T, D):
    peer, known = filled(nn.BatchNorm1d(D)), (torch.zeros(D), torch.ones(D))
    for step in range(3):
        x = some(B, T, D, seed=step)
        torch.testing.assert_close(
            batch_norm(x, peer.weight, peer.bias).flatten(0, 1), peer(x.flatten(0, 1)), atol=1e-4, rtol=1e-4
        )
        known = remember(known, x)
    torch.testing.assert_close(known, (peer.running_mean, peer.running_var))
    x, peer = some(1, 1, D), peer.eval()  # a single vector is enough once the statistics are known
    torch.testing.assert_close(batch_norm(x, peer.weight, peer.bias, known)[0], peer(x[0]), atol=1e-5, rtol=1e-5)


def test_batch_norm_of_one_vector_is_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"two or more vectors.*\(1, 1, 3\).*known statistics"):
        batch_norm(torch.zeros(1, 1, 3), torch.ones(3), torch.zeros(3))


def test_what_remember_mixes_in_is_divided_by_one_less():
    x = torch.tensor([[[1.0], [3.0]]])
    mean, variance = remember((torch.zeros(1), torch.zeros(1)), x, momentum=1.0)
    assert mean.item() == 2.0 and variance.item() == 2.0  # by n it would be 1


@given(st.floats(0.1, 1000.0))
def test_scaling_an_input_leaves_rms_norm_and_layer_norm_unchanged(c):
    x, w = some(3, 8).double(), some(8, seed=1).double()
    torch.testing.assert_close(rms_norm(c * x, w, 0.0), rms_norm(x, w, 0.0))
    torch.testing.assert_close(layer_norm(c * x + 3, w, w, 0.0), layer_norm(x, w, w, 0.0))


def test_only_batch_norm_mixes_texts():
    x, w, b = some(2, 3, 4), torch.ones(4), torch.zeros(4)
    other = torch.cat([x[:1], x[1:] + some(1, 3, 4, seed=1)])
    assert torch.equal(layer_norm(x, w, b)[0], layer_norm(other, w, b)[0])
    assert torch.equal(rms_norm(x, w)[0], rms_norm(other, w)[0])
    assert not torch.allclose(batch_norm(x, w, b)[0], batch_norm(other, w, b)[0], atol=0.01)


def test_operations_are_counted_as_one_would_by_hand():
    x = torch.ones(4, 8)
    assert operations(torch.add, x, x) == {"add": 32}
    assert operations(lambda x: x.mean(-1, keepdim=True).expand(4, 8), x) == {"mean": 32}
    assert (
        operations(rms_norm, x, x[0]).total() == 4 * 32 + 2 * 4
    )  # square, mean, two products; eps and root per vector
    assert operations(layer_norm, x, x[0], x[0]).total() == 8 * 32 + 2 * 4
