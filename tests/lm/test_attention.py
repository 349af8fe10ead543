"""One attention with any sharing: equal to torch's, to a loop over positions, and to itself with repeated heads."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively, some_ids

from llmrl.lm.attention import attend, attention_weights, causal_mask, kv_bytes
from llmrl.lm.attention_maps import attention_maps, without_head
from llmrl.lm.cache import new_cache
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

sizes = st.fixed_dictionaries({"B": st.integers(1, 2), "K": st.integers(1, 3), "share": st.integers(1, 3)})
lengths = st.fixed_dictionaries({"T": st.integers(1, 6), "past": st.integers(0, 4), "E": st.integers(1, 5)})


def tensors(n, x):
    heads = (n["K"] * n["share"], n["K"], n["K"])
    rows = (x["T"], x["past"] + x["T"], x["past"] + x["T"])
    return [torch.randn(n["B"], h, r, x["E"], generator=rng(0, i)) for i, (h, r) in enumerate(zip(heads, rows))]


@settings(max_examples=30)
@given(sizes, lengths)
def test_torch_agrees(n, x):
    q, k, v = tensors(n, x)
    visible = causal_mask(x["T"], x["past"])
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, enable_gqa=True)
    torch.testing.assert_close(attend(q, k, v, visible), theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(attend(q, k, v), F.scaled_dot_product_attention(q, k, v, enable_gqa=True))
    doubled = F.scaled_dot_product_attention(q, k, v, scale=2.0, enable_gqa=True)
    torch.testing.assert_close(attend(q, k, v, scale=2.0), doubled, rtol=1e-5, atol=1e-5)


@settings(max_examples=30)
@given(sizes, lengths)
def test_a_loop_over_everything_agrees(n, x):
    q, k, v = (t.double() for t in tensors(n, x))
    y = attend(q, k, v, causal_mask(x["T"], x["past"]))
    for head in range(q.shape[1]):
        for t in range(x["T"]):
            keys, values = (m[0, head // n["share"], : x["past"] + t + 1] for m in (k, v))
            power = (keys @ q[0, head, t] / x["E"] ** 0.5).exp()
            torch.testing.assert_close(y[0, head, t], power / power.sum() @ values)


def test_four_numbers_by_hand():
    q, k, v = torch.tensor([[[[1.0]]]]), torch.tensor([[[[0.0], [3.0]]]]).log1p(), torch.tensor([[[[0.0], [10.0]]]])
    assert attend(q, k, v).item() == pytest.approx(8.0)  # powers 1 and 4: weights 0.2 and 0.8


def test_neighbouring_query_heads_share():
    """Heads 0, 1 use the first key head: not heads 0, 2, which `repeat` instead of repeat_interleave would give."""
    q, k, v = tensors({"B": 1, "K": 2, "share": 2}, {"T": 3, "past": 0, "E": 2})
    y = attend(q, k, v)
    torch.testing.assert_close(y[:, 1], attend(q[:, 1:2], k[:, :1], v[:, :1])[:, 0])
    assert not torch.allclose(y[:, 1], attend(q[:, 1:2], k[:, 1:], v[:, 1:])[:, 0], atol=1e-3)


@settings(max_examples=30)
@given(sizes, lengths)
def test_weights_are_probabilities_over_what_is_visible(n, x):
    q, k, _ = tensors(n, x)
    visible = causal_mask(x["T"], x["past"])
    weights = attention_weights(q, k, visible)
    torch.testing.assert_close(weights.sum(-1), torch.ones(weights.shape[:-1]))
    assert (weights[..., ~visible] == 0).all() and (weights[..., visible] > 0).all()


@pytest.mark.parametrize("past", [0, 1, 3])
def test_the_mask_with_a_past(past):
    assert causal_mask(3, past).sum(-1).tolist() == [past + 1, past + 2, past + 3]
    assert torch.equal(causal_mask(3, past), causal_mask(3 + past)[past:])


@settings(max_examples=30)
@given(st.integers(1, 8), st.integers(1, 8))
def test_heads_that_cannot_be_shared(H, K):
    q, k = torch.zeros(1, H, 2, 4), torch.zeros(1, K, 2, 4)
    if H % K == 0:
        assert attend(q, k, k).shape == q.shape
    else:
        with pytest.raises(ValueError, match=f"multiple of key-value heads, got {H} and {K}"):
            attend(q, k, k)


@settings(max_examples=30)
@given(st.integers(1, 6), st.data())
def test_a_row_that_sees_nothing(T, data):
    q, blind = torch.randn(2, 1, T, 4, generator=rng(0)), data.draw(st.integers(0, T - 1))
    visible = causal_mask(T)
    visible[blind] = False
    with pytest.raises(ValueError, match=f"none in row {blind}.*nan"):
        attend(q, q, q, visible)


@pytest.mark.parametrize(
    ("shapes", "visible", "says"),
    [
        (((1, 2, 3, 4), (1, 2, 3, 5)), None, "one E"),
        (((1, 2, 3, 4), (2, 2, 3, 4)), None, "one B"),
        (((2, 3, 4), (2, 3, 4)), None, "unflatten"),
        (((1, 2, 3, 4), (1, 0, 3, 4)), None, "choose a divisor"),
        (((1, 2, 3, 4), (1, 2, 3, 4)), torch.ones(3, 3), "bool"),
        (((1, 2, 3, 4), (1, 2, 5, 4)), torch.ones(3, 3, dtype=torch.bool), r"\(.., 3, 5\)"),
    ],
)
def test_what_does_not_fit_is_named(shapes, visible, says):
    q, k = (torch.zeros(shape) for shape in shapes)
    with pytest.raises(ValueError, match=says):
        attend(q, k, k, visible)


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
def test_bytes_of_a_real_cache(kv_heads):
    model = TinyLM(Config(vocab=8, width=24, layers=3, heads=4, kv_heads=kv_heads, ffn=4))
    held = sum(past.k.nbytes + past.v.nbytes for past in new_cache(model, 1, 10))
    assert held == kv_bytes(3, kv_heads, 6, 10) == 2 * kv_bytes(3, kv_heads, 6, 10, size=2)


def test_maps_are_what_the_model_uses():
    """Weights times values are what the output projection reads."""
    model, ids, read = lively(), some_ids(), []
    last = model.layers[-1].attention
    hooks = [last.out.register_forward_pre_hook(lambda m, inputs: read.append(inputs[0]))]
    hooks.append(last.v.register_forward_hook(lambda m, inputs, out: read.insert(0, out)))
    maps = attention_maps(model, ids)
    for hook in hooks:
        hook.remove()
    v = read[0].unflatten(-1, (SMALL.kv_heads, -1)).transpose(1, 2).repeat_interleave(2, 1)
    torch.testing.assert_close((maps[-1] @ v).transpose(1, 2).flatten(2), read[1], rtol=1e-4, atol=1e-5)
    assert maps.shape == (2, 3, 4, 11, 11)


def test_the_peers_maps():
    model, ids = lively(), some_ids()
    hf = model.to_transformers()
    hf.set_attn_implementation("eager")
    theirs = torch.stack(hf(ids, output_attentions=True).attentions)
    torch.testing.assert_close(attention_maps(model, ids), theirs, rtol=1e-4, atol=1e-5)


def test_a_head_removed_and_put_back():
    model, ids = lively(), some_ids()
    before = model(ids)
    with without_head(model, 1, 2):
        without = model(ids)
    assert not torch.allclose(before, without, atol=1e-3) and torch.equal(before, model(ids))
    wide = model.layers[1].attention.out.weight
    with torch.no_grad():
        wide[:, 2 * 6 : 3 * 6] = 0  # what the head writes goes through these columns
    torch.testing.assert_close(model(ids), without)
