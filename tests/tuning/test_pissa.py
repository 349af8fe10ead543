"""PiSSA: the best approximation and what it leaves, a start that changes nothing, and peft's numbers."""

import copy

import pytest
import torch
from family import draw, in_peft, linear, lively_adapter, theirs
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import talker

from llmrl.lm.training import next_token_loss
from llmrl.tuning import adapter_file
from llmrl.tuning.lora import ALL, adapt, adapters, merge, trainable
from llmrl.tuning.pissa import PiSSALinear, as_lora, principal

IDS = torch.arange(1, 25).view(2, 12)


def test_by_hand_on_four_numbers():
    A, B, rest = principal(torch.tensor([[4.0, 0.0], [0.0, 1.0]]), 1)  # singular values 4 and 1: sqrt(4) on each side
    assert A.abs().tolist() == [[2.0, 0.0]] and B.abs().tolist() == [[2.0], [0.0]]
    assert rest.tolist() == [[0.0, 0.0], [0.0, 1.0]]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 8), st.integers(1, 8), st.data())
def test_it_is_the_best_approximation_whatever_the_scale(rows, columns, data):
    rank, scale = data.draw(st.integers(1, min(rows, columns))), data.draw(st.sampled_from([0.25, 1.0, 8.0]))
    W = linear(columns, rows, seed=data.draw(st.integers(0, 99))).weight.detach()
    A, B, rest = principal(W, rank, scale)
    values = torch.linalg.svdvals(W)
    assert A.shape == (rank, columns) and B.shape == (rows, rank) and rest.dtype == W.dtype
    torch.testing.assert_close(scale * B @ A + rest, W, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        rest.norm(), values[rank:].norm(), atol=1e-4, rtol=1e-4
    )  # Eckart and Young: no less left
    torch.testing.assert_close((A @ A.T).diagonal() * scale, values[:rank], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(A.norm(), B.norm(), atol=1e-4, rtol=1e-4)  # shared evenly


def test_nothing_changes_at_the_start_and_both_gradients_flow():
    plain, x = linear(), draw(5, 10)
    layer = PiSSALinear(copy.deepcopy(plain), 3, 6.0)
    torch.testing.assert_close(layer(x), plain(x), atol=1e-5, rtol=1e-5)
    (layer(x) * draw(5, 7)).sum().backward()
    assert layer.A.grad.norm() > 0 and layer.B.grad.norm() > 0
    assert layer.linear.weight.grad is None and trainable(layer) == 3 * (10 + 7)


def test_merging_gives_the_matrix_back_before_training():
    plain = linear()
    layer = PiSSALinear(copy.deepcopy(plain), 3, 6.0)
    torch.testing.assert_close(merge(layer).linear.weight, plain.weight.detach(), atol=1e-5, rtol=1e-5)


def test_what_was_learned_is_a_lora_of_twice_the_rank():
    plain = linear()
    layer = PiSSALinear(copy.deepcopy(plain), 3, 6.0)
    first = layer.A.detach().clone(), layer.B.detach().clone()
    lively_adapter(layer)
    change = layer.linear.weight + layer.delta() - plain.weight
    A, B = as_lora(layer, first)
    assert A.shape == (6, 10) and B.shape == (7, 6)
    torch.testing.assert_close(layer.scale * B @ A, change, atol=1e-5, rtol=1e-5)
    assert torch.linalg.matrix_rank(change) == 6


@pytest.mark.parametrize("rank", [0, 8, -1])
def test_a_rank_the_matrix_does_not_have(rank):
    with pytest.raises(ValueError, match=r"from 1 to 7 for a matrix .*\(7, 10\), got"):
        principal(linear().weight, rank)
    with pytest.raises(ValueError, match="rank must be a whole number from 1 to 7"):
        PiSSALinear(linear(), rank, 6.0)


def test_it_is_not_saved_as_plain_lora(tmp_path):
    """Beside the uncut matrix its A and B would be another model."""
    model = adapt(talker(), ALL, lambda plain: PiSSALinear(plain, 2, 2.0))
    with pytest.raises(ValueError, match="a folder holds plain LoRA .*PiSSALinear.* save the model"):
        adapter_file.save(model, tmp_path)


def test_a_matrix_that_is_not_finite():
    plain = linear()
    with torch.no_grad():
        plain.weight[2, 3] = torch.nan
    with pytest.raises(ValueError, match="holds nan or inf and has no singular values"):
        PiSSALinear(plain, 3, 6.0)


@pytest.mark.slow
def test_peft_begins_and_learns_the_same():
    from peft import LoraConfig

    base = talker()
    hf = in_peft(base, LoraConfig(r=4, lora_alpha=6, target_modules="all-linear", init_lora_weights="pissa"))
    ours = adapt(copy.deepcopy(base), ALL, lambda plain: PiSSALinear(plain, 4, 6.0))
    torch.testing.assert_close(ours(IDS), base(IDS), atol=1e-4, rtol=1e-5)
    for model in (ours, lambda ids: hf(ids).logits):
        next_token_loss(model, IDS, torch.ones_like(IDS, dtype=torch.bool)).backward()
    for name, layer in adapters(ours).items():
        peer = theirs(hf, name)
        torch.testing.assert_close(layer.linear.weight, peer.base_layer.weight, atol=1e-5, rtol=1e-5)
        A, B = peer.lora_A.default.weight, peer.lora_B.default.weight
        torch.testing.assert_close(layer.delta(), layer.scale * B @ A, atol=1e-5, rtol=1e-5)
        for mine, other in ((layer.A, A), (layer.B, B)):  # a pair of singular vectors may come with the other sign
            torch.testing.assert_close(mine.abs(), other.abs(), atol=1e-4, rtol=1e-4)
            torch.testing.assert_close(mine.grad.abs(), other.grad.abs(), atol=1e-5, rtol=1e-3)
