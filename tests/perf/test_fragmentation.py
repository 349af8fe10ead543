"""Room is conserved at every step, everybody is served in full, and two servers by hand."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.perf.fragmentation import Paged, Request, Reserved, lost_on_last_page, random_trace, serve_trace
from llmrl.seeds import rng

requests = st.builds(
    lambda at, prompt, limit, share: Request(at, prompt, limit, max(1, round(limit * share))),
    st.integers(0, 20), st.integers(1, 10), st.integers(1, 12), st.floats(0, 1),
)  # fmt: skip
memories = st.sampled_from(
    [
        lambda: Reserved(60, 22),
        lambda: Reserved(60),
        lambda: Paged(60, 4),
        lambda: Paged(24, 1),
        lambda: Paged(40, 4, 12),
    ]
)


@settings(max_examples=25, deadline=None)
@given(st.lists(requests, min_size=1, max_size=25), memories)
def test_room_is_conserved_and_everybody_gets_all_tokens(trace, build):
    memory = build()
    records = list(serve_trace(trace, memory))
    for r in records:
        assert r["used"] + r["inside"] + r["outside"] == memory.room
        assert min(r["used"], r["inside"], r["outside"]) >= 0
    assert sum(r["running"] for r in records) == sum(request.answer for request in trace)
    assert memory.taken == 0
    if isinstance(memory, Paged):
        assert not any(r["torn"] for r in records)
    else:
        assert not any(r["again"] for r in records)


def test_reserved_by_hand():
    """Three texts in room for ten: the second leaves a hole of four that the fourth, needing six, cannot use."""
    trace = [Request(0, 1, 2, 2), Request(0, 1, 3, 1), Request(0, 1, 2, 2), Request(0, 1, 5, 1)]
    memory = Reserved(10)
    first, second, *rest = serve_trace(trace, memory)
    assert (first["running"], first["used"], first["inside"], first["outside"]) == (3, 6, 4, 0)
    assert (second["running"], second["outside"], second["torn"]) == (2, 4, False)
    assert [r["running"] for r in rest] == [1]


def test_free_room_in_two_pieces_is_torn():
    trace = [Request(0, 1, 3, 1), Request(0, 1, 3, 3), Request(0, 1, 3, 1), Request(0, 1, 5, 1)]
    assert [r["torn"] for r in serve_trace(trace, Reserved(12))] == [False, True, True, False]


def test_the_newest_goes_back_and_its_tokens_are_read_again():
    trace = [Request(0, 2, 4, 4), Request(0, 2, 4, 4)]
    records = list(serve_trace(trace, Paged(8, 2)))
    assert [r["running"] for r in records] == [2, 2, 1, 1, 1, 1]
    assert [r["again"] for r in records] == [0, 0, 4, 0, 0, 0]


def test_spare_room_is_left_to_those_who_are_there():
    trace = [Request(0, 2, 4, 4), Request(0, 2, 4, 4)]
    records = list(serve_trace(trace, Paged(8, 2, spare=4)))
    assert [r["running"] for r in records] == [1, 1, 1, 1, 1, 1, 1, 1] and not any(r["again"] for r in records)
    assert [r["running"] for r in serve_trace(trace[:1], Paged(8, 2, spare=8))] == [1] * 4  # one may always come


@given(st.integers(0, 100), st.integers(1, 20))
def test_the_last_page(length, size):
    pages = -(-length // size)
    assert lost_on_last_page(length, size) == pages * size - length


def test_a_trace_keeps_its_limits():
    trace = random_trace(500, 2.0, (64, 256), rng(0, "trace"))
    assert [r.arrives for r in trace] == sorted(r.arrives for r in trace)
    assert {r.limit for r in trace} == {64, 256} and max(r.prompt for r in trace) <= 200
    mean = torch.tensor([float(r.answer) for r in trace if r.limit == 256]).mean()
    assert 55 < mean < 95  # 60 e^0.32 = 83 without the limit


def test_what_never_fits_is_refused():
    for memory in (Reserved(10), Paged(10, 4), Reserved(100, 10)):
        with pytest.raises(ValueError, match="up to 11 tokens does not fit"):
            list(serve_trace([Request(0, 1, 10, 2)], memory))
    for numbers in ((-1, 1, 1, 1), (0, 0, 1, 1), (0, 1, 1, 2), (0, 1, 2, 0)):
        with pytest.raises(ValueError, match="answer <= limit"):
            Request(*numbers)
