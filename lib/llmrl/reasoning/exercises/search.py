"""Exercises on choosing among answers and on the cheapest way.

Each checker asks the cases in which a plausible version goes wrong: ties, silence, a verifier that rejects all, a goal
that is seen before it is reached cheaply. Left out: Monte Carlo tree search, which has a module of its own.
"""

import heapq
import itertools
from collections import Counter

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "reasoning.majority_vote",
    title="One answer, one vote",
    signature="majority_vote(answers: list) -> an answer, or None",
    solution="llmrl.reasoning.search.majority_vote",
    minutes=6,
    difficulty=1,
    hints=(
        "collections.Counter counts; who is silent (None) has no vote, but 0 and '' are answers like others.",
        "max(votes, key=votes.get, default=None) takes the first of equals, in the order in which they were counted.",
    ),
    wrong=(
        Wrong("silence was counted: None is not an answer", lambda a: Counter(a).most_common(1)[0][0] if a else None),
        Wrong(
            "0 and '' are answers, too: only None is silence",
            lambda a: max(v := Counter(x for x in a if x), key=v.get, default=None),
        ),
        Wrong(
            "among equals the earliest wins, here the latest did",
            lambda a: max(v := Counter(x for x in reversed(a) if x is not None), key=v.get, default=None),
        ),
        Wrong(
            "among equals the earliest wins, here the largest did",
            lambda a: max((x for x in a if x is not None), key=lambda x: (a.count(x), x), default=None),
        ),
        Wrong(
            "more than half is not asked for: the most frequent answer wins, with three votes of eight as well",
            lambda a: next((x for x in a if x is not None and 2 * a.count(x) > len(a)), None),
        ),
        Wrong(
            "the first answer is not always the most frequent", lambda a: next((x for x in a if x is not None), None)
        ),
    ),
)
def majority_vote(answer, solution):
    for case, answers in {
        "on five answers": [122, 132, 132, 112, 132],
        "on three of eight": [7, 5, 7, 4, 3, 7, 2, 1],
        "on three answers with two votes each": [5, 9, 9, 5, 3, 3],
        "where most are silent": [None, None, None, 3],
        "where 0 is the answer": [1, 0, 0],
        "where nobody answered": [None, None],
        "on no answers": [],
    }.items():
        yield differs(answer(answers), solution(answers), case)


def _odds(none_at_all, with_one):
    """A wrong version: what is right when none is accepted, and when one is, from p, n, misses, fooled, a."""

    def wrong(p, n, misses, fooled):
        a = p * (1 - misses) + (1 - p) * fooled
        return with_one(p, n, misses, fooled, a) + none_at_all(p, n, misses, fooled, a)

    return wrong


def _one(p, n, m, f, a):
    return (1 - (1 - a) ** n) * p * (1 - m) / a


def _none(p, n, m, f, a):
    return (1 - a) ** n * p * m / (1 - a)


@exercise(
    "reasoning.best_of_n_odds",
    title="The ceiling of a verifier that errs",
    signature="best_of_n_odds(p: chances (K,), n, misses, fooled) -> chances (K,)",
    solution="llmrl.reasoning.verifiers.best_of_n_odds",
    minutes=12,
    difficulty=2,
    hints=(
        "a = p (1-misses) + (1-p) fooled is the share that is accepted. Either one of the n is accepted, or none is.",
        "Accepted: 1-(1-a)^n likely, and right with probability p (1-misses)/a. None: (1-a)^n likely, and any of the "
        "rejected is right with probability p misses/(1-a).",
    ),
    wrong=(
        Wrong(
            "where none is accepted an answer is taken all the same, and it is right p misses/(1-a) of the time",
            _odds(lambda *_: 0.0, _one),
        ),
        Wrong(
            "an accepted answer may be wrong: divide p (1-misses) by a",
            _odds(_none, lambda p, n, m, f, a: 1 - (1 - a) ** n),
        ),
        Wrong(
            "that is the chance that a right answer is among the n and accepted; a wrong one may be taken before it",
            lambda p, n, m, f: 1 - (1 - p * (1 - m)) ** n,
        ),
        Wrong(
            "that is the chance that one of n is right: the verifier never errs here",
            lambda p, n, m, f: 1 - (1 - p) ** n,
        ),
        Wrong("that is the ceiling, for n without end", lambda p, n, m, f: p * (1 - m) / (p * (1 - m) + (1 - p) * f)),
        Wrong(
            "a rejected answer is right less often than p: the verifier rejects wrong ones more often",
            _odds(lambda p, n, m, f, a: (1 - a) ** n * p, _one),
        ),
    ),
)  # fmt: skip
def best_of_n_odds(answer, solution):
    import torch

    p = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    for n, misses, fooled in ((4, 0.3, 0.1), (1, 0.2, 0.1), (4, 0.0, 0.2), (64, 0.3, 0.1)):
        case = f"with n = {n}, misses = {misses} and fooled = {fooled}"
        yield differs(answer(p, n, misses, fooled), solution(p, n, misses, fooled), case)


def _other(rank=lambda g, h: g + h, goal_when_seen=False, reopens=True, adds_up=False):
    """A search with one mistake."""

    def search(start, neighbours, is_goal, heuristic):
        from llmrl.reasoning.astar import Found

        count, best, expanded = itertools.count(), {start: 0.0}, []
        waiting = [(rank(0.0, heuristic(start)), next(count), 0.0, (start,))]
        while waiting:
            _, _, cost, path = heapq.heappop(waiting)
            if cost > best[path[-1]] or (not reopens and path[-1] in expanded):
                continue
            if is_goal(path[-1]):
                return Found(path, cost, tuple(expanded))
            expanded.append(path[-1])
            for state, price in neighbours(path[-1]):
                if goal_when_seen and is_goal(state):
                    return Found((*path, state), cost + price, tuple(expanded))
                paid = cost + price + (heuristic(state) if adds_up else 0)
                if paid < best.get(state, float("inf")):
                    best[state] = paid
                    heapq.heappush(waiting, (rank(paid, heuristic(state)), next(count), paid, (*path, state)))
        return Found((), float("inf"), tuple(expanded))

    return search


ROADS = {"S": [("B", 3.5), ("A", 1.0)], "A": [("B", 1.0), ("G", 6.0)], "B": [("D", 0.25), ("C", 1.0), ("G", 3.0)],
         "C": [("G", 1.0)], "D": [], "G": [], "X": []}  # fmt: skip
GUESSES = {"S": 3.0, "A": 3.0, "B": 0.0, "C": 1.0, "D": 0.0, "G": 0.0, "X": 0.0}  # admissible, and not consistent


@exercise(
    "reasoning.astar",
    title="The cheapest way, with a guess",
    signature="astar(start, neighbours(state) -> [(state, price)], is_goal, heuristic) -> Found(path, cost, expanded)",
    solution="llmrl.reasoning.astar.astar",
    minutes=18,
    difficulty=3,
    hints=(
        "heapq keeps what waits in order. Put (cost + heuristic, a running number, cost, path) into it, take the "
        "smallest out, and ask is_goal of what you took out, not of what you put in.",
        "Remember the lowest cost at which each state was reached, and put it in again when a cheaper way turns up. An "
        "entry taken out with a higher cost than that is skipped, and does not count as expanded.",
    ),
    wrong=(
        Wrong(
            "a goal is found when it is taken out, not when it is seen: a cheaper way may still be waiting",
            _other(goal_when_seen=True),
        ),
        Wrong("sorted by the guess alone: what the way has cost belongs to it", _other(rank=lambda g, h: h)),
        Wrong("right, but without the guess: Dijkstra's order expands more states", _other(rank=lambda g, h: g)),
        Wrong(
            "a state that was expanded may have to be expanded again: with this guess a cheaper way to it comes later",
            _other(reopens=False),
        ),
        Wrong("the guess belongs to the order, not to the cost: it was added up along the way", _other(adds_up=True)),
        Wrong("the order has the guess taken off: the farthest comes first", _other(rank=lambda g, h: g - h)),
    ),
)  # fmt: skip
def astar(answer, solution):
    from llmrl.reasoning.number_steps import doublings, next_numbers

    def told(found):
        return list(found.path), float(found.cost), list(found.expanded)

    for start, case in (("S", "from S to G on seven places"), ("X", "from X, where no road begins")):
        ask = start, ROADS.__getitem__, lambda place: place == "G", GUESSES.__getitem__
        yield differs(told(answer(*ask)), told(solution(*ask)), case)
    ask = 1, next_numbers, lambda number: number == 23, doublings(23)  # where equals may come in any order
    yield differs(float(answer(*ask).cost), solution(*ask).cost, "from 1 to 23 by +1, -1 and x2")
