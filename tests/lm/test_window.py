"""A window by mask, by band and by rolling cache is one window, and its reach is counted exactly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively, some_ids

from llmrl.lm.attention import attend, causal_mask
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.window import Restricted, banded, influence, rolling_cache, window_mask
from llmrl.seeds import rng

few = st.integers(1, 8)


@settings(max_examples=40)
@given(few, few, st.sets(st.integers(0, 7)))
def test_the_mask_pair_by_pair(T, window, anchors):
    anchors = {a for a in anchors if a < T}
    visible = window_mask(T, window, sorted(anchors))
    for t in range(T):
        for s in range(T):
            assert visible[t, s] == (s <= t and (t - s < window or s in anchors or t in anchors))


@given(few)
def test_a_window_as_long_as_the_text_is_causal(T):
    assert torch.equal(window_mask(T, T), causal_mask(T)) and torch.equal(
        window_mask(T, 1), causal_mask(T) & ~causal_mask(T).tril(-1)
    )


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 2), st.integers(1, 2))
def test_the_band_gives_what_the_mask_gives(window, blocks, K, share):
    T = window * blocks
    q, k, v = (torch.randn(2, h, T, 3, generator=rng(0, i)) for i, h in enumerate((K * share, K, K)))
    torch.testing.assert_close(banded(q, k, v, window), attend(q, k, v, window_mask(T, window)), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("window", "sinks"), [(1, 0), (4, 0), (4, 2), (3, 5), (20, 1)])
@torch.no_grad()
def test_a_rolling_cache_is_a_window(window, sinks):
    model, ids = lively(), some_ids(B=2, T=13)
    with Restricted(window_mask(13, window, range(sinks))):
        whole = model(ids)
    cache = rolling_cache(model, 2, window, sinks)
    steps = torch.cat([model(ids[:, t : t + 1], cache=cache) for t in range(13)], dim=1)
    torch.testing.assert_close(steps, whole, rtol=1e-4, atol=1e-5)
    assert cache[0].k.shape[2] == window + sinks and cache[0].length == 13


@torch.no_grad()
def test_restricted_to_the_causal_mask_nothing_changes():
    model, ids = lively(), some_ids()
    free = model(ids)
    with Restricted(causal_mask(11)):
        torch.testing.assert_close(model(ids), free, rtol=1e-4, atol=1e-5)
    with Restricted(window_mask(11, 2)):
        assert not torch.allclose(model(ids), free, atol=1e-2)


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("window", [1, 3, 4])
def test_reach_by_gradient_and_by_perturbation(layers, window):
    config = Config(vocab=40, width=24, layers=layers, heads=4, kv_heads=2, ffn=20, context=32)
    model, ids = lively(config), some_ids(B=1, T=16)
    visible, reach = window_mask(16, window), layers * (window - 1) + 1
    moved = influence(model, ids, visible) > 0
    assert moved.tolist() == [16 - s <= reach for s in range(16)]
    with torch.no_grad(), Restricted(visible):
        before = model(ids)[0, -1]
        for s in range(15):
            other = ids.clone()
            other[0, s] = (other[0, s] + 1) % 40
            assert torch.equal(model(other)[0, -1], before) != moved[s].item()


def test_an_anchor_is_a_shortcut():
    model, ids = lively(), some_ids(B=1, T=16)
    assert (influence(model, ids, window_mask(16, 2, [0]))[:4] > 0).tolist() == [True, False, False, False]
    assert (influence(model, ids, window_mask(16, 2, [8]))[:9] > 0).all()  # by way of position 8


def test_no_hook_is_left_behind():
    model, ids = lively(), some_ids(B=1)
    with pytest.raises(ValueError):
        influence(model, ids + SMALL.vocab, causal_mask(11))
    assert not model.embed._forward_hooks


@settings(max_examples=40)
@given(st.one_of(st.integers(-5, 0), st.floats(), st.none(), st.booleans()))
def test_windows_that_cannot_be(window):
    q = torch.zeros(1, 1, 4, 2)
    model = TinyLM(SMALL)
    for call in (
        lambda: window_mask(4, window),
        lambda: banded(q, q, q, window),
        lambda: rolling_cache(model, 1, window),
    ):
        with pytest.raises(ValueError, match="whole number of at least 1"):
            call()


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(-9, 9))
def test_anchors_outside_the_text(T, anchor):
    if 0 <= anchor < T:
        assert window_mask(T, 2, [anchor])[:, anchor].sum() == T - anchor
    else:
        with pytest.raises(ValueError, match="anchors must be positions"):
            window_mask(T, 2, [anchor])


def test_what_does_not_fit_is_named():
    q, model = torch.zeros(1, 1, 5, 2), lively()
    with pytest.raises(ValueError, match="multiple of the window, got 5 and 2"):
        banded(q, q, q, 2)
    with pytest.raises(ValueError, match="one position at a time, got 3"), torch.no_grad():
        model(some_ids(B=1, T=3), cache=rolling_cache(model, 1, 4))
