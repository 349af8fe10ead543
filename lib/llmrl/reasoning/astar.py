r"""A*: the cheapest way, and how many states one has to look at to be sure.

States are visited in the order of $f(s)=g(s)+h(s)$: what the way to s has cost, and a guess of what is left to pay.
With h = 0 this is Dijkstra's algorithm. With a guess that is never too high (admissible) the first goal that is visited
has been reached on a cheapest way: every cheaper way would have had a state with a smaller f, and that would have come
first (Hart, Nilsson and Raphael 1968). The better the guess, the fewer states are visited. With a guess that can be too
high it is faster still, and the proof is gone. Greedy search goes by h alone; beam search keeps the `width` best of
each length and forgets the rest. A state may be visited again when a cheaper way to it turns up, so a guess need not be
consistent.
Left out: search from both ends, and memory that is bounded.
"""

import heapq
import itertools
from dataclasses import dataclass


@dataclass(frozen=True)
class Found:
    """A way to a goal, what it costs, and the states that were expanded on the search, in order."""

    path: tuple  # of states, from the start; () where no goal was reached
    cost: float
    expanded: tuple


def astar(start, neighbours, is_goal, heuristic=lambda state: 0.0, most=100_000):
    """The first goal visited in the order of cost so far plus heuristic.

    neighbours(state) -> [(next state, cost of the step), ..]; most: states to expand at most
    """
    return _search(start, neighbours, is_goal, lambda cost, left: cost + left, heuristic, most)


def greedy(start, neighbours, is_goal, heuristic, most=100_000):
    """The same search in the order of the heuristic alone, whatever the way has cost."""
    return _search(start, neighbours, is_goal, lambda cost, left: left, heuristic, most)


def _search(start, neighbours, is_goal, rank, heuristic, most):
    check_most(most)
    count, cost, step, expanded = itertools.count(), {start: 0.0}, {start: (None, 0.0)}, []
    waiting = [(rank(0.0, guess(heuristic, start)), next(count), 0.0, start)]
    while waiting:
        _, _, paid, state = heapq.heappop(waiting)
        if paid > cost[state]:
            continue  # a cheaper way to it was found meanwhile
        if is_goal(state):
            return Found(*_way(step, state), tuple(expanded))
        if len(expanded) == most:
            break
        expanded.append(state)
        for following, price in neighbours(state):
            check_price(price, state, following)
            if paid + price < cost.get(following, float("inf")):
                cost[following], step[following] = paid + price, (state, price)
                entry = rank(cost[following], guess(heuristic, following))
                heapq.heappush(waiting, (entry, next(count), cost[following], following))
    return Found((), float("inf"), tuple(expanded))


def beam(start, neighbours, is_goal, width, heuristic=lambda state: 0.0, most=100_000):
    """Steps in lockstep: of all that can come next the `width` smallest by cost plus heuristic, until one is a goal."""
    check_most(most)
    if not isinstance(width, int) or width < 1:
        raise ValueError(f"width must be a whole number of at least 1, got {width!r}: it is how many ways to keep")
    kept, expanded = [(0.0, (start,))], []
    while kept and len(expanded) < most:
        if goals := [(cost, path) for cost, path in kept if is_goal(path[-1])]:
            cost, path = min(goals, key=lambda found: found[0])
            return Found(path, cost, tuple(expanded))
        reached = {}
        for cost, path in kept:
            expanded.append(path[-1])
            for following, price in neighbours(path[-1]):
                check_price(price, path[-1], following)
                if following not in reached or cost + price < reached[following][0]:
                    reached[following] = (cost + price, (*path, following))
        kept = sorted(reached.values(), key=lambda way: way[0] + guess(heuristic, way[1][-1]))[:width]
    return Found((), float("inf"), tuple(expanded))


def guess(heuristic, state):
    """The heuristic of a state, once it is known to be a number of at least 0."""
    left = heuristic(state)
    if not left >= 0:
        raise ValueError(f"a heuristic is a guess of costs still to come, at least 0, got {left!r} for {state!r}")
    return left


def _way(step, state):
    """The states from the start to this one, and what the steps between them cost."""
    path, cost = [], 0.0
    while state is not None:
        path.append(state)
        state, price = step[state]
        cost += price
    return tuple(reversed(path)), cost


def check_price(price, state, following):
    if not price >= 0:
        raise ValueError(
            f"a step must cost at least 0, got {price!r} from {state!r} to {following!r}: a way that earns by going on "
            f"has no cheapest end"
        )


def check_most(most):
    if isinstance(most, bool) or not isinstance(most, int) or most < 1:
        raise ValueError(
            f"most must be a whole number of at least 1, got {most!r}: it is the budget of expanded states"
        )
