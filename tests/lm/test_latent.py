"""MLA's two forms are one function, its cache is what keys and values come from, and transformers' DeepSeek agrees."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.latent import LatentAttention, Latents, Shape, latent_bytes
from llmrl.seeds import rng

shapes = st.builds(
    Shape,
    width=st.integers(2, 12),
    heads=st.integers(1, 4),
    head_width=st.integers(1, 6),
    latent=st.integers(1, 8),
    rotated=st.sampled_from([2, 4]),
)
SHAPE = Shape(width=12, heads=3, head_width=5, latent=7, rotated=4)


def layer_and_text(shape=SHAPE, T=6):
    with torch.no_grad():
        layer = LatentAttention(shape, rng(0, "layer"))
        layer.norm.weight += 0.3 * torch.randn(shape.latent, generator=rng(0, "norm"))
    return layer, torch.randn(2, T, shape.width, generator=rng(0, "x"))


@settings(max_examples=25)
@given(shapes, st.integers(1, 6), st.data())
def test_absorbed_and_expanded_at_once_and_step_by_step(shape, T, data):
    layer, x = layer_and_text(shape, T)
    whole = layer.expanded(x)
    torch.testing.assert_close(layer.absorbed(x), whole, rtol=1e-4, atol=1e-5)
    for form in (layer.absorbed, layer.expanded):
        cache, start, parts = Latents(2, T, shape), 0, []
        while start < T:
            stop = data.draw(st.integers(start + 1, T))
            parts.append(form(x[:, start:stop], cache))
            start = stop
        torch.testing.assert_close(torch.cat(parts, 1), whole, rtol=1e-4, atol=1e-5)


def test_the_cache_gives_keys_and_values_back():
    layer, x = layer_and_text()
    cache = Latents(2, 6, SHAPE)
    layer.absorbed(x, cache)
    for mine, theirs in zip(layer.expand(cache.numbers), layer.expand(layer.compress(x))):
        torch.testing.assert_close(mine, theirs)
    keys = layer.expand(cache.numbers)[0]
    assert torch.equal(keys[:, 0, :, 5:], keys[:, 2, :, 5:])  # the rotated part is one for all heads
    assert not torch.allclose(keys[:, 0, :, :5], keys[:, 2, :, :5], atol=1e-2)  # the rest is each head's own


def test_bytes_of_a_real_cache():
    assert Latents(1, 9, SHAPE).numbers.nbytes == latent_bytes(1, SHAPE, 9) == 4 * 9 * (7 + 4)


@pytest.mark.parametrize("interleaved", [False, True])
def test_transformers_agrees(interleaved):
    """The same weights in DeepSeek-V3's attention; with interleaved pairs only after reordering what is rotated."""
    from transformers.models.deepseek_v3 import modeling_deepseek_v3 as peer

    layer, x = layer_and_text()
    config = peer.DeepseekV3Config(
        hidden_size=12, num_attention_heads=3, num_key_value_heads=3, q_lora_rank=None, kv_lora_rank=7,
        qk_rope_head_dim=4, qk_nope_head_dim=5, v_head_dim=5, rope_interleave=interleaved, max_position_embeddings=64,
    )  # fmt: skip
    config._attn_implementation = "eager"
    theirs = peer.DeepseekV3Attention(config, 0)
    order = torch.tensor([0, 2, 1, 3]) if interleaved else torch.arange(4)
    with torch.no_grad():
        q = layer.q.weight.unflatten(0, (3, 9)).clone()
        q[:, 5:] = q[:, 5:][:, order]
        theirs.q_proj.weight.copy_(q.flatten(0, 1))
        down = layer.down.weight.clone()
        down[7:] = down[7:][order]
        theirs.kv_a_proj_with_mqa.weight.copy_(down)
        theirs.kv_a_layernorm.weight.copy_(layer.norm.weight)
        theirs.kv_b_proj.weight.copy_(layer.up.weight)
        theirs.o_proj.weight.copy_(layer.out.weight)
    places = torch.arange(6)[None]
    mask = torch.full((6, 6), float("-inf")).triu(1)[None, None]
    out, _ = theirs(x, peer.DeepseekV3RotaryEmbedding(config)(x, places), mask)
    torch.testing.assert_close(layer.absorbed(x), out, rtol=1e-4, atol=1e-5)


class Misscaled(Shape):
    """Divides by the root of the absorbed query's width instead of the original one's."""

    scale = property(lambda self: (self.latent + self.rotated) ** -0.5)


def test_wrong_forms_are_told_apart():
    layer, x = layer_and_text()
    whole, cache = layer.expanded(x), Latents(2, 6, SHAPE)
    layer.absorbed(x[:, :4], cache)
    cache.numbers[:, :4, 7:] = layer.compress(x[:, :4], past=1)[..., 7:]  # rotated as if it stood one further on
    assert not torch.allclose(layer.absorbed(x[:, 4:], cache), whole[:, 4:], atol=1e-3)
    layer.shape = Misscaled(**vars(SHAPE))
    assert not torch.allclose(layer.absorbed(x), whole, atol=1e-3)


@given(st.integers(-3, 40))
def test_rotated_numbers_come_in_pairs(rotated):
    if rotated >= 2 and rotated % 2 == 0:
        assert Shape(rotated=rotated).rotated == rotated
    else:
        with pytest.raises(ValueError, match=f"rotated must be .*{rotated}"):
            Shape(rotated=rotated)


@pytest.mark.parametrize("name", ["width", "heads", "head_width", "latent"])
@pytest.mark.parametrize("value", [0, -1, 2.5, "4"])
def test_sizes_that_cannot_be(name, value):
    with pytest.raises(ValueError, match=f"{name} must be a whole number"):
        Shape(**{name: value})
