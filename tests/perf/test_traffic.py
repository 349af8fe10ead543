"""What moves is what the formula says, forward and backward; tiles are as large as fits."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.perf.attention import flash
from llmrl.perf.traffic import COLUMNS, Traffic, largest_tile, numbers_moved, unfused
from llmrl.seeds import rng


def counted(call, *shape):
    """-> the result, and what moved"""
    x = [torch.randn(*shape, generator=rng(0, i)) for i in range(3)]
    traffic = Traffic()
    return call(*x, traffic), traffic, x


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))
def test_tiles_move_what_the_formula_says_and_steps_move_4_TS_more(T, E, R, C):
    ours, moved, x = counted(lambda q, k, v, t: flash(q, k, v, False, (R, C), t), 1, 1, T, E)
    steps, more, _ = counted(lambda q, k, v, t: unfused(q, k, v, (R, C), t), 1, 1, T, E)
    theirs = F.scaled_dot_product_attention(*x)
    torch.testing.assert_close((ours, steps), (theirs, theirs), rtol=1e-4, atol=1e-5)
    assert moved.moved == numbers_moved(T, T, E, R)
    assert more.moved - moved.moved == 4 * T * T - T  # and no logsumexp


def test_backward_is_counted_too():
    x, traffic = [torch.randn(1, 1, 20, 4, requires_grad=True) for _ in range(3)], Traffic()
    out = flash(*x, False, (5, 20), traffic)
    before = traffic.moved
    out.sum().backward()
    assert traffic.moved - before == 2 * 20 * 4 + 20 * (4 * 4 + 1) + 20 * 4 + 2 * 20 * 4


@given(st.integers(1, 64), st.integers(0, 10**6))
def test_the_largest_tile_fits_and_one_row_more_does_not(width, extra):
    numbers = 2 * COLUMNS * width + 2 * width + COLUMNS + 2 + extra

    def working_set(R, C):
        return 2 * R * width + 2 * C * width + R * C + 2 * R

    R, C = largest_tile(numbers, width)
    assert working_set(R, C) <= numbers < working_set(R + 1, C)


def test_too_little_fast_memory_is_refused_with_what_is_needed():
    with pytest.raises(ValueError, match="at least 562 numbers for heads of width 16"):
        largest_tile(561, 16)
    assert largest_tile(562, 16) == (1, COLUMNS)
