"""Counts of work against torch's counter, and the roof by hand."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from llmrl.lm.model import FFN, Config, RMSNorm
from llmrl.lm.operations import operations
from llmrl.perf import roofline
from llmrl.perf.roofline import Work, attainable, ridge

CONFIG = Config(vocab=40, width=24, layers=2, heads=4, kv_heads=2, ffn=20)


def counted(function):
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_a_product_is_counted_as_torch_counts_it(rows, inner, columns):
    work = roofline.matmul(rows, inner, columns)
    a, b = torch.ones(rows, inner), torch.ones(inner, columns)
    assert work.flops == counted(lambda: a @ b)
    assert work.bytes == 4 * (a.numel() + b.numel() + (a @ b).numel())


def test_the_network_and_the_norm():
    model, x = FFN(CONFIG), torch.ones(10, CONFIG.width)
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.1)
    gate = 5 * 10 * CONFIG.ffn
    assert roofline.network(CONFIG, 10).flops == counted(lambda: model(x)) + gate
    q = CONFIG.width * 10
    ops = operations(
        lambda: (x * x.square().mean(-1, keepdim=True).add(1e-5).rsqrt()) * RMSNorm(24, 1e-5).weight.detach()
    )
    assert roofline.norm(CONFIG, 10).flops == pytest.approx(sum(ops.values()), rel=0.1) and ops["mul"] == 2 * q


def test_attention():
    B, T, S, E = 2, 5, 7, CONFIG.head_width
    q, k = torch.ones(B, 4, T, E), torch.ones(B, 4, S, E)
    products = counted(lambda: (q @ k.mT) @ k)
    plain, fused = roofline.attention(CONFIG, B, T, S), roofline.attention(CONFIG, B, T, S, fused=True)
    assert plain.flops == fused.flops == products + 5 * B * 4 * T * S
    assert plain.bytes - fused.bytes == 4 * 4 * B * 4 * T * S
    assert fused.bytes == 4 * (2 * q.numel() + 2 * B * CONFIG.kv_heads * S * E)


def test_an_embedding_computes_nothing():
    assert roofline.embedding(CONFIG, 10).intensity == 0
    assert (Work(2, 4) + Work(1, 2)) == Work(3, 6) and Work(2, 4).intensity == 0.5


def test_the_roof_by_hand():
    assert attainable([0.5, 2.0, 8.0], 100.0, 25.0).tolist() == [12.5, 50.0, 100.0]
    assert ridge(100.0, 25.0) == 4.0


@given(st.floats(0.01, 1e4), st.floats(1, 1e15), st.floats(1, 1e13))
def test_the_roof_is_the_slower_of_two(intensity, peak, bandwidth):
    seconds = max(intensity / peak, 1 / bandwidth)  # for one byte and its operations
    assert attainable(intensity, peak, bandwidth) == pytest.approx(intensity / seconds)


def test_decoding_reads_more_than_it_computes():
    one, many = (roofline.network(CONFIG, rows).intensity for rows in (1, 512))
    assert one < 0.6 < 3 < many


def test_measurements_are_positive_and_a_call_is_timed():
    assert roofline.measured_peak(64) > 0 and roofline.measured_bandwidth(0.1) > 0
    calls = []
    assert roofline.seconds(lambda: calls.append(np.ones(1000).sum()), least=0.001) > 0 and len(calls) >= 2


@pytest.mark.parametrize(("peak", "bandwidth"), [(0, 1), (1, 0), (-1, 5)])
def test_bad_input(peak, bandwidth):
    with pytest.raises(ValueError, match="peak and bandwidth must be above 0"):
        ridge(peak, bandwidth)
