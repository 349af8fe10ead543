r"""Reaching a number by steps of arithmetic: a puzzle small enough to know every answer.

From one number to another by adding 1, taking off 1 or doubling, each at a price. A guess of what is left to pay is
admissible when it is never above the cheapest way that remains. Adding 1 at most doubles a number (from 1 on), so at
least $\log_2(g/x)$ steps lead from x up to the goal g; only taking off 1 leads down. `distance`, the number of ones
between them, forgets that one can double, and is too high.
Left out: division and powers; more than one number at a time.
"""

import math

PRICES = {"+1": 1.0, "-1": 1.0, "x2": 1.0}
HIGHEST = 1024  # no way goes above it


def next_numbers(number):
    """[(number after a step, price)], the neighbours that `astar` asks for."""
    ways = [(number + 1, PRICES["+1"]), (number - 1, PRICES["-1"]), (2 * number, PRICES["x2"])]
    return [(n, price) for n, price in ways if 1 <= n <= HIGHEST]


def doublings(goal):
    """An admissible guess: as if every step doubled, and a number above the goal came down by ones."""
    check_goal(goal)
    return lambda number: math.ceil(math.log2(goal / number)) if number < goal else float(number - goal)


def distance(goal):
    """A guess that is too high: as if one could go by ones only."""
    check_goal(goal)
    return lambda number: float(abs(goal - number))


def check_goal(goal):
    if isinstance(goal, bool) or not isinstance(goal, int) or not 1 <= goal <= HIGHEST:
        raise ValueError(f"a goal is a whole number from 1 to {HIGHEST}, got {goal!r}: ways may not go higher")
