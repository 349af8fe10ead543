"""The detour through a convolution gives the matrix product, and its gradients."""

import pytest
import torch

from llmrl.lm.product import ENOUGH, product
from llmrl.seeds import rng


@pytest.mark.parametrize("B, T", [(32, 128), (16, 128), (8, 256), (256, 9), (2, 5), (1, ENOUGH), (3, 1000)])
def test_a_product_is_a_product(B, T):
    x = torch.randn(B, T, 12, generator=rng(0), requires_grad=True)
    weight = torch.randn(7, 12, generator=rng(1), requires_grad=True)
    grad = torch.randn(B, T, 7, generator=rng(2)) / (B * T)
    ours, theirs = product(x, weight), x @ weight.T
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)
    for a, b in zip(torch.autograd.grad(ours, (x, weight), grad), torch.autograd.grad(theirs, (x, weight), grad)):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_the_memory_may_lie_in_any_order():
    x, weight = torch.randn(128, 32, 12, generator=rng(0)).transpose(0, 1), torch.randn(12, 7, generator=rng(1)).T
    torch.testing.assert_close(product(x, weight), x @ weight.T, atol=1e-5, rtol=1e-5)


def test_a_detour_is_taken_only_where_it_pays():
    weight = torch.randn(7, 12, generator=rng(1), requires_grad=True)
    for B, T, detour in [(16, 128, True), (15, 128, False), (16, 129, False)]:
        graph, nodes = [product(torch.randn(B, T, 12, generator=rng(0)), weight).grad_fn], set()
        while graph:
            node = graph.pop()
            nodes.add(node.name())
            graph += [after for after, _ in node.next_functions if after]
        assert any("Convolution" in name for name in nodes) == detour
