"""A*: the cheapest way, against all-pairs distances; what each guess costs."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.reasoning.astar import astar, beam, greedy
from llmrl.reasoning.number_steps import HIGHEST, distance, doublings, next_numbers
from llmrl.seeds import numpy_rng

GOALS = (1, 2, 23, 97, 119, 500, 1024)


def costs_to(goal):
    """The cheapest way from every number to the goal, by relaxing every step until nothing changes."""
    cost = dict.fromkeys(range(1, HIGHEST + 1), math.inf) | {goal: 0.0}
    again = True
    while again:
        before = dict(cost)
        for n in sorted(cost, key=cost.get):
            cost[n] = min([cost[n]] + [price + cost[m] for m, price in next_numbers(n)])
        again = before != cost
    return cost


@pytest.fixture(scope="module")
def truth():
    return {goal: costs_to(goal) for goal in (119,)}


@pytest.mark.parametrize("goal", GOALS)
def test_an_admissible_guess_finds_a_cheapest_way_with_fewer_states(goal):
    known, guided = (astar(1, next_numbers, lambda n: n == goal, *h) for h in ((), (doublings(goal),)))
    assert known.cost == guided.cost and len(guided.expanded) <= len(known.expanded)
    for found in (known, guided):
        steps = list(zip(found.path, found.path[1:]))
        assert found.path[0] == 1 and found.path[-1] == goal
        assert found.cost == sum(dict(next_numbers(a))[b] for a, b in steps)


def test_the_guess_is_admissible_and_the_other_is_not(truth):
    for goal, cost in truth.items():
        assert all(doublings(goal)(n) <= cost[n] for n in cost)
        assert any(distance(goal)(n) > cost[n] for n in cost)
        assert astar(1, next_numbers, lambda n, goal=goal: n == goal).cost == cost[1]


def test_a_guess_that_is_too_high_is_faster_and_wrong():
    best = astar(1, next_numbers, lambda n: n == 119, doublings(119))
    fast = astar(1, next_numbers, lambda n: n == 119, distance(119))
    assert fast.cost > best.cost and len(fast.expanded) < len(best.expanded)
    assert greedy(1, next_numbers, lambda n: n == 119, distance(119)).cost > best.cost
    assert beam(1, next_numbers, lambda n: n == 119, 3, distance(119)).cost > best.cost
    assert beam(1, next_numbers, lambda n: n == 119, 1000, doublings(119)).cost == best.cost


@given(st.integers(0, 10_000))
@settings(max_examples=40, deadline=None)
def test_on_random_graphs_with_a_guess_that_is_admissible_but_not_consistent(seed):
    random = numpy_rng(seed, "graph")
    n = 8
    price = np.where(random.random((n, n)) < 0.4, random.integers(0, 6, (n, n)), np.inf)
    exact = price.copy()
    np.fill_diagonal(exact, 0)
    for k in range(n):  # Floyd and Warshall
        exact = np.minimum(exact, exact[:, k : k + 1] + exact[k])
    guess = [math.floor(random.random() * min(c, 50)) for c in exact[:, n - 1]]
    neighbours = lambda s: [(t, price[s, t]) for t in range(n) if price[s, t] < np.inf]  # noqa: E731
    for h in (lambda s: 0.0, guess.__getitem__):
        found = astar(0, neighbours, lambda s: s == n - 1, h)
        assert found.cost == exact[0, n - 1]
        assert found.cost == sum(price[a, b] for a, b in zip(found.path, found.path[1:])) or not found.path
    loose = greedy(0, neighbours, lambda s: s == n - 1, guess.__getitem__)
    assert loose.cost >= exact[0, n - 1] and (loose.path == ()) == (exact[0, n - 1] == np.inf)


def test_nothing_to_find_and_a_budget():
    assert astar(1, lambda s: [], lambda s: s == 2).path == ()
    assert astar(1, lambda s: [], lambda s: s == 1).path == (1,)
    stopped = astar(1, next_numbers, lambda n: n == 700, most=10)
    assert stopped.path == () and stopped.cost == math.inf and len(stopped.expanded) == 10


def test_what_cannot_be_searched():
    goal = lambda n: n == 3  # noqa: E731
    with pytest.raises(ValueError, match="most must be a whole number of at least 1, got 0"):
        astar(1, next_numbers, goal, most=0)
    with pytest.raises(ValueError, match="width must be a whole number of at least 1, got 0"):
        beam(1, next_numbers, goal, 0)
    with pytest.raises(ValueError, match="a step must cost at least 0, got -1"):
        astar(1, lambda n: [(n + 1, -1)], goal)
    with pytest.raises(ValueError, match="a heuristic is a guess of costs still to come"):
        astar(1, next_numbers, goal, lambda n: -1.0)
    with pytest.raises(ValueError, match="a goal is a whole number from 1 to 1024, got 0"):
        doublings(0)
