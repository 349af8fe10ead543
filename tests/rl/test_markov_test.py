"""The test of the past: G against a plain double sum, an exact p-value against all orders, alarms where they belong."""

from collections import Counter
from itertools import permutations
from math import log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.chains import walk
from llmrl.rl.markov_test import g_statistic, past_matters, shuffled_statistics, tally
from llmrl.seeds import numpy_rng

TRIPLES = st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=30)


def plain(triples):
    """G, kind by kind."""
    whole = Counter(triples)
    left, right = Counter((b, s) for b, s, _ in triples), Counter((s, a) for _, s, a in triples)
    present = Counter(s for _, s, _ in triples)
    return 2 * sum(n * log(n * present[s] / (left[b, s] * right[s, a])) for (b, s, a), n in whole.items())


@given(TRIPLES)
def test_g_is_the_plain_sum_and_never_negative(triples):
    columns = np.array(triples).T
    assert g_statistic(*columns) == pytest.approx(plain(triples), abs=1e-9) and g_statistic(*columns) > -1e-9
    assert tally(columns[1]).tolist() == [sum(t[1] == s for t in triples) for s in columns[1]]


def test_shuffles_are_drawn_from_all_orders_within_a_present():
    before, now, after = np.array([[0, 1, 0, 1, 1], [0, 0, 0, 1, 1], [0, 1, 2, 0, 1]])
    every = Counter(
        round(plain(list(zip(before.tolist(), now.tolist(), [*one, *two]))), 6)
        for one in permutations([0, 1, 2])
        for two in permutations([0, 1])
    )
    drawn = Counter(shuffled_statistics(before, now, after, numpy_rng(0, "orders"), 6000).round(6).tolist())
    assert drawn.keys() == every.keys()
    for value, count in every.items():
        share = count / 12
        assert abs(drawn[value] / 6000 - share) < 4.5 * (share * (1 - share) / 6000) ** 0.5 + 1e-9


def test_alarms_come_where_the_past_matters_and_as_often_as_asked_where_it_does_not():
    turn = 0.2
    P = np.zeros((10, 10))  # position 0 to 4 on a ring, and direction 0 or 1: state 2 x + v
    for x in range(5):
        for v in (0, 1):
            for way, chance in ((v, 1 - turn), (1 - v, turn)):
                P[2 * x + v, 2 * ((x + 2 * way - 1) % 5) + way] = chance
    random, alarms = numpy_rng(0, "alarms"), np.zeros(2)
    for _ in range(120):
        states = walk(P, random.integers(0, 10, 200), 2, random)
        alarms += [past_matters(*triple, random, 39)[1] <= 0.05 for triple in (states, states // 2)]
    assert alarms[1] == 120 and alarms[0] <= 6 + 4.5 * (120 * 0.05 * 0.95) ** 0.5


ONE = np.array([0, 1])


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: g_statistic(ONE, ONE, ONE[:1]), "of one length"),
        (lambda: g_statistic(ONE[:0], ONE[:0], ONE[:0]), "1 or more"),
        (lambda: g_statistic(ONE, ONE, ONE - 1), "whole numbers of 0 or more, got int64 from -1"),
        (lambda: g_statistic(ONE, ONE / 2, ONE), "whole numbers of 0 or more, got float64"),
        (lambda: past_matters(ONE, ONE, ONE, numpy_rng(0, ""), 10), "shuffles must be 19 or more, got 10"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
