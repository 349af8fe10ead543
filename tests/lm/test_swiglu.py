"""The gradient written by hand is the gradient, and it keeps less."""

import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.swiglu import swiglu
from llmrl.seeds import rng


def two(*shape):
    return [torch.randn(shape, generator=rng(i), dtype=torch.float64, requires_grad=True) for i in range(2)]


@given(st.lists(st.integers(1, 4), min_size=1, max_size=3))
def test_value_and_gradient(shape):
    gate, up = two(*shape)
    torch.testing.assert_close(swiglu(gate, up), F.silu(gate) * up)
    assert torch.autograd.gradcheck(swiglu, (gate, up))
    assert torch.autograd.gradgradcheck(swiglu, (gate, up))


def test_without_gradients_it_is_the_same():
    gate, up = two(3, 4)
    with torch.no_grad():
        assert torch.equal(swiglu(gate, up), F.silu(gate) * up)


def test_only_the_inputs_are_kept():
    gate, up = two(3, 4)

    def kept(function):
        seen = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: seen.append(t.data_ptr()), lambda x: x):
            function(gate, up)
        return set(seen)

    assert kept(swiglu) == {gate.data_ptr(), up.data_ptr()}
    assert len(kept(lambda a, u: F.silu(a) * u)) == 3


def test_inputs_are_left_alone_and_one_sequence_at_a_time_works():
    gate, up = two(3, 4)
    before = gate.clone(), up.clone()
    one = torch.func.vmap(torch.func.grad(lambda a, u: swiglu(a, u).sum()))(gate.detach(), up.detach())
    swiglu(gate, up).sum().backward()
    torch.testing.assert_close(one, gate.grad)
    assert torch.equal(gate, before[0]) and torch.equal(up, before[1])
