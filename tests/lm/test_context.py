"""Stretched frequencies: equal to transformers', and what each method promises."""

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm import context
from llmrl.lm.positions import frequencies
from llmrl.lm.scheme import Rotary, retold

SIZES = [(16, 1e4, 64, 4.0), (32, 1e4, 64, 2.0), (128, 1e4, 4096, 8.0), (64, 5e5, 2048, 16.0), (16, 100.0, 64, 4.0)]
WIDTHS, SCALES = st.integers(2, 64).map(lambda n: 2 * n), st.floats(1, 64)


def theirs(kind, width, base, trained, scale, length=None):
    """Inverse frequencies and attention factor by transformers."""
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    rope = {"rope_type": kind, "rope_theta": base, "factor": scale}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = trained
    sizes = {"hidden_size": 2 * width, "num_attention_heads": 2, "max_position_embeddings": trained}
    return ROPE_INIT_FUNCTIONS[kind](LlamaConfig(**sizes, rope_parameters=rope), seq_len=length)


@pytest.mark.parametrize("width, base, trained, scale", SIZES)
def test_equal_to_transformers(width, base, trained, scale):
    theta, length = frequencies(width, base), 3 * trained
    dynamic = frequencies(width, context.dynamic_base(base, scale, width, length, trained))
    for kind, ours, strength, at in [
        ("linear", context.interpolated(theta, scale), 1.0, None),
        ("dynamic", dynamic, 1.0, length),
        ("yarn", context.yarn(theta, scale, trained), context.yarn_strength(scale), None),
    ]:
        inverse, factor = theirs(kind, width, base, trained, scale, at)
        torch.testing.assert_close(ours, inverse, atol=0, rtol=1e-6)
        assert strength == pytest.approx(factor)


@pytest.mark.parametrize("kind, how", [("linear", "interpolation"), ("yarn", "yarn"), ("dynamic", "ntk")])
def test_equal_logits_of_a_stretched_llama(kind, how):
    from transformers import LlamaForCausalLM

    model, ids = lively(dataclasses.replace(SMALL, width=32, context=64)), some_ids(T=64)
    rope = {"rope_type": kind, "rope_theta": 1e4, "factor": 4.0}
    if kind == "yarn":
        rope["original_max_position_embeddings"] = 16
    settings = model.to_transformers().config
    settings.rope_parameters, settings.max_position_embeddings = rope, 16 if kind == "dynamic" else 64
    hf = LlamaForCausalLM(settings).eval()
    hf.load_state_dict(model.to_transformers().state_dict())
    scheme = context.stretched(how, model.config, 4, 16)
    if kind == "dynamic":
        base = context.dynamic_base(1e4, 4.0, 8, 64, 16)
        scheme = Rotary(tuple(frequencies(8, base).tolist()))
    torch.testing.assert_close(retold(model, scheme)(ids), hf(ids).logits, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(model(ids), hf(ids).logits, atol=1e-3)


@given(WIDTHS, SCALES, st.sampled_from([100.0, 1e4, 1e6]))
def test_ntk_keeps_the_fastest_pair_and_slows_the_slowest_by_the_scale(width, scale, base):
    theta, new = frequencies(width, base), frequencies(width, context.ntk_base(base, scale, width))
    ratio = theta / new
    assert new[0] == theta[0] and ratio[-1].item() == pytest.approx(scale, rel=1e-4)
    by_formula = scale ** (2 * torch.arange(width // 2) / (width - 2))
    torch.testing.assert_close(ratio, by_formula, rtol=1e-4, atol=0)


@given(WIDTHS, SCALES, st.integers(8, 10_000))
def test_yarn_lies_between_the_old_frequencies_and_the_interpolated(width, scale, trained):
    theta = frequencies(width)
    new, slowed = context.yarn(theta, scale, trained), context.ramp(theta, trained)
    assert (new <= theta * (1 + 1e-6)).all() and (new >= theta / scale * (1 - 1e-6)).all()
    assert (slowed[1:] >= slowed[:-1]).all()
    never_round = theta * trained < 2 * math.pi
    assert (slowed[never_round] == 1).all()


@given(WIDTHS)
def test_a_scale_of_one_changes_nothing(width):
    theta = frequencies(width)
    torch.testing.assert_close(context.yarn(theta, 1.0, 64), theta)
    assert context.yarn_strength(1.0) == 1 and torch.equal(context.interpolated(theta, 1), theta)
    assert context.ntk_base(1e4, 1, width) == 1e4 if width > 2 else True
    assert context.dynamic_base(1e4, 8.0, width, 60, 64) == 1e4  # a text no longer than the trained ones


def test_yarns_strength_multiplies_the_scores_by_its_square():
    model, ids = lively(dataclasses.replace(SMALL, layers=1)), some_ids(1, 6)
    strength = context.yarn_strength(8.0)
    theta = tuple(frequencies(6).tolist())
    stronger = lively(dataclasses.replace(SMALL, layers=1))
    with torch.no_grad():
        stronger.layers[0].attention.q.weight *= strength**2
    torch.testing.assert_close(retold(model, Rotary(theta, strength))(ids), stronger(ids), atol=1e-5, rtol=1e-5)


@given(st.one_of(st.floats(), st.integers(-3, 5), st.booleans(), st.text(max_size=2)))
def test_a_scale_is_at_least_one_or_refused(scale):
    theta = frequencies(8)
    good = isinstance(scale, (int, float)) and not isinstance(scale, bool) and math.isfinite(scale) and scale >= 1
    for call in (
        lambda: context.interpolated(theta, scale),
        lambda: context.ntk_base(1e4, scale, 8),
        lambda: context.yarn(theta, scale, 64),
        lambda: context.yarn_strength(scale),
    ):
        if good and scale < 1e30:
            call()
        elif not good:
            with pytest.raises(ValueError, match="scale must be a number of at least 1, got"):
                call()


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: context.ntk_base(1e4, 2, 2), "width must be at least 4, got 2"),
        (lambda: context.ntk_base(1e4, 2, 5), "even whole number of at least 2, got 5"),
        (lambda: context.ramp(frequencies(8), 0), "the trained length must be a whole number of at least 1, got 0"),
        (lambda: context.ramp(torch.tensor([0.1, 1.0]), 64), "theta must be two or more frequencies, fastest first"),
        (lambda: context.stretched("linear", SMALL, 2, 64), "how must be 'interpolation', 'ntk' or 'yarn'"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
