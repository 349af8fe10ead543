"""Positions against brute force, transformers, and what they must not do."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm import positions
from llmrl.lm.model import Config, rotate, turns
from llmrl.seeds import rng

EVEN = st.integers(1, 40).map(lambda half: 2 * half)


def some(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed, "vectors"), dtype=torch.double)


def llama_rotary(x, where, base):
    """Queries turned by transformers' own code.  x (1, H, T, E), where (T,)"""
    from transformers import LlamaConfig
    from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

    rotary = LlamaRotaryEmbedding(
        LlamaConfig(
            hidden_size=x.shape[1] * x.shape[-1],
            num_attention_heads=x.shape[1],
            rope_parameters={"rope_type": "default", "rope_theta": base},
        )
    )
    return apply_rotary_pos_emb(x, x, *rotary(x, where[None]))[0]


def test_frequencies_are_a_geometric_row():
    torch.testing.assert_close(positions.frequencies(4, 100.0), torch.tensor([1.0, 0.1]))
    theta = positions.frequencies(128, 1e4)
    assert theta[0] == 1 and theta[-1].item() == pytest.approx(1e4 ** (-126 / 128))
    torch.testing.assert_close(theta[1:] / theta[:-1], torch.full((63,), 1e4 ** (-1 / 64)))


@given(EVEN, st.sampled_from([2.0, 100.0, 1e4, 5e5]), st.integers(0, 2000))
def test_the_product_of_two_rows_of_the_table_depends_on_their_distance(width, base, shift):
    where = torch.tensor([0, 3, 10, 25], dtype=torch.double)
    near, far = (positions.sinusoidal(p, width, base) for p in (where, where + shift))
    torch.testing.assert_close(near @ near.T, far @ far.T, atol=1e-4 * width, rtol=0)
    torch.testing.assert_close(near.norm(dim=-1) ** 2, torch.full((4,), width / 2, dtype=torch.double))


@given(EVEN, st.booleans(), st.integers(0, 300), st.integers(0, 300), st.integers(0, 300))
def test_the_product_depends_on_the_difference_alone(width, interleaved, m, n, shift):
    q, k = some(1, width), some(1, width, seed=1)

    def product(m, n):
        turned = (
            positions.rope(x, torch.tensor([p], dtype=torch.double), interleaved=interleaved)
            for x, p in ((q, m), (k, n))
        )
        return (next(turned) * next(turned)).sum()

    torch.testing.assert_close(product(m, n), product(m + shift, n + shift), atol=1e-5, rtol=0)


@given(EVEN, st.integers(0, 10**5), st.booleans())
def test_a_turn_keeps_every_length(width, p, interleaved):
    x = some(3, width)
    turned = positions.rope(x, torch.tensor([p, 0, 1]), interleaved=interleaved)
    torch.testing.assert_close(turned.norm(dim=-1), x.norm(dim=-1))
    assert torch.equal(turned[1], x[1])  # position 0 is not turned


@pytest.mark.parametrize("width, base", [(2, 1e4), (8, 100.0), (64, 1e4), (128, 5e5)])
def test_equal_to_transformers(width, base):
    x, where = some(1, 3, 40, width).float(), torch.arange(40)
    torch.testing.assert_close(positions.rope(x, where, base), llama_rotary(x, where, base), atol=1e-5, rtol=0)


@given(EVEN)
def test_the_two_layouts_are_a_permutation_apart(width):
    x, where, order = some(5, width), torch.arange(5), positions.neighbours(width)
    assert sorted(order.tolist()) == list(range(width))
    halves, pairs = positions.rope(x, where), positions.rope(x[:, order], where, interleaved=True)
    torch.testing.assert_close(halves[:, order], pairs)
    if width > 2:
        assert not torch.allclose(halves, positions.rope(x, where, interleaved=True))  # not the same thing


def test_the_model_turns_the_same_way():
    x, where, c = some(2, 4, 9, 8).float(), torch.arange(9), Config(width=32, heads=4)
    turned = rotate(x, turns(where, c))
    torch.testing.assert_close(turned, positions.rope(x, where)[..., positions.neighbours(8)])


@pytest.mark.parametrize("heads", [1, 2, 3, 6, 8, 12, 16, 20, 31, 64])
def test_slopes_and_bias_equal_those_of_bloom_and_mpt(heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor
    from transformers.models.mpt.modeling_mpt import build_mpt_alibi_tensor

    slopes, where = positions.alibi_slopes(heads), torch.arange(7)
    assert slopes.shape == (heads,) and (slopes > 0).all()
    bias = positions.alibi_bias(slopes, where[-1:], where)  # of the last position, which sees all
    torch.testing.assert_close(bias, build_mpt_alibi_tensor(heads, 7), atol=1e-6, rtol=1e-6)
    bloom = build_alibi_tensor(torch.ones(1, 7), heads, torch.float32)  # counts from the left: softmax does not mind
    torch.testing.assert_close(bias.softmax(-1), bloom.softmax(-1), atol=1e-6, rtol=1e-5)


def test_eight_heads_have_the_slopes_of_the_paper():
    assert positions.alibi_slopes(8).tolist() == [2.0**-h for h in range(1, 9)]


def test_the_fine_grows_with_the_distance_and_ignores_where_one_stands():
    slopes, where = positions.alibi_slopes(4), torch.arange(6)
    bias = positions.alibi_bias(slopes, where, where)
    assert torch.equal(bias, positions.alibi_bias(slopes, where + 100, where + 100))
    assert bias[0, 5, 2].item() == pytest.approx(-3 * slopes[0].item()) and (bias.diagonal(dim1=1, dim2=2) == 0).all()


@given(st.one_of(st.integers(-5, 41), st.floats(), st.booleans(), st.none()))
def test_a_width_is_either_even_or_refused(width):
    if type(width) is int and width >= 2 and width % 2 == 0:
        assert len(positions.frequencies(width)) == width // 2
    else:
        with pytest.raises(ValueError, match="must be an even whole number of at least 2, got"):
            positions.frequencies(width)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: positions.rope(torch.ones(3, 5), torch.arange(3)), "even whole number of at least 2, got 5.*choose 6"),
        (lambda: positions.sinusoidal(torch.arange(3), 7), "even whole number of at least 2, got 7.*choose 8"),
        (
            lambda: positions.rope(torch.ones(3, 4), torch.arange(4)),
            r"one per row of x, got \(4,\) for x of .*\(3, 4\)",
        ),
        (lambda: positions.rope(torch.ones(3, 4), torch.tensor(2)), "positions must be one per row of x"),
        (lambda: positions.frequencies(4, 1.0), "base must be a number above 1, got 1.0"),
        (lambda: positions.frequencies(4, math.nan), "base must be a number above 1, got nan"),
        (lambda: positions.alibi_slopes(0), "heads must be a whole number of at least 1, got 0"),
        (lambda: positions.alibi_slopes(2.0), "heads must be a whole number of at least 1, got 2.0"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
