"""Tiles equal torch's attention in both passes, skip what nobody sees, keep what is linear, and train a model."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively, some_ids
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llmrl.lm.attention import attend, causal_mask
from llmrl.lm.saved import saved
from llmrl.perf import attention
from llmrl.perf.attention import InTiles, flash, flash_with_logsumexp, score_gradient, tile_kind, tiles
from llmrl.perf.peak import Meter
from llmrl.seeds import rng

shapes = st.fixed_dictionaries(
    {
        "B": st.integers(1, 2), "K": st.integers(1, 2), "share": st.integers(1, 3), "T": st.integers(1, 9),
        "past": st.integers(0, 5), "E": st.integers(1, 4), "causal": st.booleans(),
        "block": st.integers(1, 12) | st.tuples(st.integers(1, 5), st.integers(1, 5)),
    }
)  # fmt: skip


def tensors(n, dtype=torch.float32):
    sizes = [(n["B"], n["K"] * n["share"], n["T"])] + [(n["B"], n["K"], n["past"] + n["T"])] * 2
    made = [torch.randn(*s, n["E"], generator=rng(0, i), dtype=torch.float64) for i, s in enumerate(sizes)]
    return [x.to(dtype).requires_grad_() for x in made]


@settings(max_examples=20, deadline=None)
@given(shapes)
def test_both_passes_equal_torchs(n):
    q, k, v = tensors(n)
    mask = causal_mask(n["T"], n["past"]) if n["causal"] else None
    ours = flash(q, k, v, n["causal"], n["block"])
    theirs = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)
    grad = torch.randn(ours.shape, generator=rng(0, "grad"))
    for a, b in zip(torch.autograd.grad(ours, (q, k, v), grad), torch.autograd.grad(theirs, (q, k, v), grad)):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_finite_differences_agree():
    inputs = tensors({"B": 1, "K": 1, "share": 2, "T": 5, "past": 2, "E": 3}, torch.float64)
    assert torch.autograd.gradcheck(lambda *x: flash(*x, True, (2, 3)), inputs)


def test_half_precision_is_as_good_as_torchs():
    n = {"B": 1, "K": 2, "share": 2, "T": 70, "past": 0, "E": 16}
    exact = flash(*tensors(n, torch.float64))
    ours, grads = flash(*(x := tensors(n, torch.bfloat16)), block=16), None
    grads = torch.autograd.grad(ours.sum(), x)
    theirs = F.scaled_dot_product_attention(*x, is_causal=True, enable_gqa=True)
    assert ours.dtype == torch.bfloat16 and all(g.dtype == torch.bfloat16 for g in grads)
    assert (ours - exact).abs().max() <= 2 * (theirs - exact).abs().max()


def test_torchs_own_kernel_keeps_the_same_five_tensors():
    q, k, v = tensors({"B": 1, "K": 2, "share": 1, "T": 40, "past": 0, "E": 8})
    out, logsumexp = flash_with_logsumexp(q, k, v, True, 16)
    theirs = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True)[:2]
    torch.testing.assert_close((out, logsumexp), theirs)

    def kept(call):
        return sorted(x.bytes for x in saved(lambda: call(q, k, v).sum(), backward=False))

    with sdpa_kernel(SDPBackend.FLASH_ATTENTION):
        assert kept(flash) == kept(lambda *x: F.scaled_dot_product_attention(*x, is_causal=True))


def test_scores_are_computed_again_backward_and_only_there():
    """2 products of T^2 E forward, as without tiles; 5 backward, where 4 do without tiles."""
    q, k, v = tensors({"B": 1, "K": 1, "share": 1, "T": 32, "past": 0, "E": 8})
    one = 2 * 32 * 32 * 8

    def products(call):
        with FlopCounterMode(display=False) as forward:
            loss = call().sum()
        with FlopCounterMode(display=False) as backward:
            loss.backward()
        return forward.get_total_flops() / one, backward.get_total_flops() / one

    assert products(lambda: flash(q, k, v, False, 8)) == (2, 5)
    assert products(lambda: attend(q, k, v)) == (2, 4)


@settings(max_examples=25)
@given(st.integers(1, 14), st.integers(0, 9), st.integers(1, 5), st.integers(1, 5))
def test_tiles_cover_what_is_visible_once_and_skip_what_nobody_sees(T, past, R, C):
    mask, covered = causal_mask(T, past), torch.zeros(T, past + T, dtype=torch.int)
    for tile in tiles(T, past + T, (R, C), True):
        covered[tile.rows, tile.columns] += 1
        inside = mask[tile.rows, tile.columns]
        assert inside.any() and inside.all() == (tile.kind == "whole")
    assert (covered[mask] == 1).all() and covered.max() == 1


def test_kinds_by_hand():
    assert tile_kind((0, 2), (0, 2)) == "cut" and tile_kind((2, 4), (0, 2)) == "whole"
    assert tile_kind((0, 2), (2, 4)) == "skip" and tile_kind((0, 2), (2, 4), past=2) == "cut"
    assert tile_kind((0, 2), (0, 2), past=1) == "whole"


def test_the_gradient_of_scores_is_softmaxs():
    s, v, do = (torch.randn(3, n, generator=rng(0, n), dtype=torch.float64) for n in (3, 2, 4))
    v, do = torch.randn(3, 2, generator=rng(1), dtype=torch.float64), torch.randn(3, 2, generator=rng(2)).double()
    s.requires_grad_()
    p = s.softmax(-1)
    expected = torch.autograd.grad(p @ v, s, do)[0]
    torch.testing.assert_close(score_gradient(p, do, v, p @ v), expected)


def test_a_forgotten_mask_or_scale_would_show(monkeypatch):
    x = tensors({"B": 1, "K": 1, "share": 1, "T": 9, "past": 0, "E": 4})
    good = flash(*x, True, 4)
    monkeypatch.setattr(attention, "tile_kind", lambda *a: "whole")
    assert not torch.allclose(flash(*x, True, 4), good)


def test_a_model_in_tiles_is_the_same_model_and_learns_the_same():
    model, ids = lively(SMALL), some_ids(2, 11)
    loss = [lambda: model(ids).logsumexp(-1).sum()]
    grads = torch.autograd.grad(loss[0](), list(model.parameters()))
    with InTiles(4):
        inside, logits = torch.autograd.grad(loss[0](), list(model.parameters())), model(ids)
    torch.testing.assert_close(logits, model(ids), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(inside, grads, rtol=1e-3, atol=1e-3)
    with pytest.raises(ValueError, match="causal mask only"), InTiles():
        model(ids, mask=torch.tensor([[False] + [True] * 10] * 2))


def test_the_peak_grows_with_the_length_and_not_with_its_square():
    def peak(call, T):
        x = tensors({"B": 1, "K": 1, "share": 1, "T": T, "past": 0, "E": 16})
        with Meter(*x) as meter:
            call(*x).sum().backward()
        return meter.peak

    def plain(q, k, v):
        return attend(q, k, v, causal_mask(q.shape[2]))

    assert peak(lambda *x: flash(*x, True, 32), 256) < 2.1 * peak(lambda *x: flash(*x, True, 32), 128)
    assert peak(plain, 256) > 3.5 * peak(plain, 128)


ONE = {"B": 1, "K": 1, "share": 1, "T": 4, "past": 0, "E": 2}


@pytest.mark.parametrize("block", [0, -1, 2.5, True, (2, 0), (2,), "16", None])
def test_a_block_that_is_none_is_refused(block):
    with pytest.raises(ValueError, match="need not divide"):
        flash(*tensors(ONE), block=block)


def test_shapes_that_do_not_fit_are_named():
    q, k, v = tensors(ONE)
    with pytest.raises(ValueError, match="would see nothing"):
        flash(q, k[:, :, :2], v[:, :, :2])
    with pytest.raises(ValueError, match="one value per key"):
        flash(q, k, v[:, :, :2])
    with pytest.raises(ValueError, match="multiple of key-value heads"):
        flash(q, k.repeat(1, 2, 1, 1), v.repeat(1, 2, 1, 1))
    with pytest.raises(ValueError, match="a query and a key"):
        flash(q[:, :, :0], k, v)
