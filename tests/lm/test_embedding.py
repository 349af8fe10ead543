"""Look-up, one-hot product and the gradient of the table, against torch."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.embedding import look_up, one_hot, table_gradient
from llmrl.seeds import rng

shapes = st.sampled_from([(1,), (5,), (2, 3), (1, 1), (3, 1), (2, 2, 2)])


@given(shapes, st.integers(1, 9), st.integers(1, 5), st.integers(0, 9))
def test_looking_up_is_a_product_with_one_hot_rows(shape, V, D, seed):
    ids = torch.randint(V, shape, generator=rng(seed, "ids"))
    table = torch.randn(V, D, generator=rng(seed, "table"), requires_grad=True)
    found = look_up(ids, table)
    assert torch.equal(one_hot(ids, V), F.one_hot(ids, V).float())
    assert torch.equal(found, F.embedding(ids, table)) and torch.allclose(one_hot(ids, V) @ table, found)

    upstream = torch.randn(*shape, D, generator=rng(seed, "upstream"))
    found.backward(upstream)
    assert torch.allclose(table_gradient(ids, upstream, V), table.grad, atol=1e-6)


def test_a_token_that_stands_twice_collects_both():
    ids, upstream = torch.tensor([[2, 0, 2]]), torch.tensor([[[1.0], [10.0], [100.0]]])
    assert table_gradient(ids, upstream, 4).tolist() == [[10.0], [0.0], [101.0], [0.0]]


@pytest.mark.parametrize("call", [lambda ids: look_up(ids, torch.zeros(4, 2)), lambda ids: one_hot(ids, 4)])
@pytest.mark.parametrize("wrong", [[1, 2], torch.tensor([1.0]), torch.empty(0, dtype=torch.long), 3, None])
def test_ids_that_are_none(call, wrong):
    with pytest.raises(TypeError, match="torch.long tensor with at least one token, got"):
        call(wrong)


@pytest.mark.parametrize("wrong", [-1, 4, -100])
def test_ids_outside_the_table(wrong):
    for call in (lambda ids: look_up(ids, torch.zeros(4, 2)), lambda ids: one_hot(ids, 4)):
        with pytest.raises(ValueError, match=rf"in \[0, 4\), got {wrong}"):
            call(torch.tensor([0, wrong]))


def test_a_gradient_of_another_shape():
    with pytest.raises(ValueError, match=r"one row for each id, got shape \(3, 2\) for ids of \(2,\)"):
        table_gradient(torch.tensor([0, 1]), torch.zeros(3, 2), 4)
