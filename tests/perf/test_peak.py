"""The meter against tensors counted by hand and against torch's own profiler."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import lively, some_ids

from llmrl.lm.training import next_token_loss
from llmrl.perf.peak import Meter, curve


def test_lives_by_hand():
    with Meter() as meter:
        a = torch.ones(100)  # 400 bytes
        b = a + 1  # 800
        a.view(10, 10)  # no memory of its own
        del a
        c = b * 2  # 800 again
        del b, c
    assert (meter.peak, meter.live) == (800, 0)
    assert [(life.bytes, life.by) for life in meter.lives] == [(400, "ones"), (400, "add"), (400, "mul")]
    assert curve(meter.lives, meter.event) == [0, 400, 800, 800, 800]


def test_what_was_there_before_counts_where_it_is_named():
    weight = torch.ones(50)
    with Meter(weight, weight.view(5, 10)) as meter:
        x = weight * 2
        assert meter.life(weight).by == "held before" and meter.life(x).by == "mul"
    assert meter.peak == 400 and meter.life(torch.ones(3)) is None


def test_working_in_place_takes_nothing():
    x = torch.ones(50)
    with Meter(x) as meter:
        x.add_(1).mul_(2)
    assert meter.peak == 200


@given(st.lists(st.tuples(st.integers(1, 50), st.booleans()), min_size=1, max_size=12))
@settings(max_examples=15, deadline=None)
def test_the_curve_ends_and_peaks_where_the_meter_does(made):
    alive = []
    with Meter() as meter:
        for size, drop in made:
            alive.append(torch.zeros(size))
            if drop:
                alive.pop(0)
    found = curve(meter.lives, meter.event)
    assert len(found) == meter.event + 1 and max(found) == meter.peak
    assert meter.live == sum(4 * x.numel() for x in alive)


def test_a_meter_that_is_gone_harms_nothing():
    with Meter() as meter:
        x = torch.ones(3)
    del meter
    del x


def test_the_peak_of_a_training_step_is_the_profilers():
    from torch.profiler import ProfilerActivity, profile

    model, ids = lively(), some_ids()
    mask = torch.ones_like(ids, dtype=torch.bool)
    with Meter(*model.parameters(), ids, mask) as meter:
        held = meter.live
        next_token_loss(model, ids, mask).backward()
    model.zero_grad()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        next_token_loss(model, ids, mask).backward()
    moves = [event for event in profiled.profiler.kineto_results.events() if event.name() == "[memory]"]
    total = most = 0
    for event in sorted(moves, key=lambda event: event.start_ns()):
        total += event.nbytes()
        most = max(most, total)
    assert meter.peak - held == pytest.approx(most, rel=0.01)
