"""The formulas of work and of bytes equal what torch counts on a running model."""

import pytest
import torch
from lm.lively import SMALL, lively, some_ids
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from llmrl.lm.cache import new_cache
from llmrl.perf.writing import decode_intensity, next_token, pass_work, writing_work


def counted(model, ids, cache=None):
    """Operations in products of one pass, of which the last position is scored."""
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter, torch.no_grad():
        model.unembed(model.hidden(ids, cache=cache)[:, -1:])
    return counter.get_total_flops()


def test_a_pass_costs_what_torch_counts():
    model, ids = lively(SMALL), some_ids(1, 9)
    assert counted(model, ids) == pass_work(model.config, 9, 9).total
    cache = new_cache(model, 1, 9)
    assert counted(model, ids[:, :8], cache) == pass_work(model.config, 8, 8).total
    assert counted(model, ids[:, 8:], cache) == pass_work(model.config, 1, 9).total


def test_a_text_is_the_sum_of_its_passes():
    c = SMALL
    plain, cached = (writing_work(c, 3, 4, cached=x) for x in (False, True))
    assert plain == [pass_work(c, t, t) for t in (3, 4, 5, 6)]
    assert cached == [pass_work(c, 3, 3)] + [pass_work(c, 1, t) for t in (4, 5, 6)]
    for prompt, new in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="1 or more"):
            writing_work(c, prompt, new, True)


def test_operations_per_byte_by_hand():
    assert decode_intensity(100, 0, 0, 8, size=2) == 8  # two operations per weight of two bytes, for each text
    assert decode_intensity(100, 50, 20, 1, size=2) == 220 / 250
    assert next_token(SMALL, 10, 10**9) == pytest.approx(decode_intensity(0, *of_one(10), 1), rel=1e-3)


def of_one(length):
    """What one text brings: bytes of its cache, and its operations."""
    c = SMALL
    weights = pass_work(c, 1, 1).products // 2
    return 2 * c.layers * c.kv_heads * c.head_width * length * 2, 4 * length * c.width * c.layers + 2 * weights
