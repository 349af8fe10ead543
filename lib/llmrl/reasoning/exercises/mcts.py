"""Exercises on tree search.

Each checker asks where a plausible version goes wrong: a child nobody looked at, and whose view a value is.
Left out: choosing among finished answers, which has a module of its own.
"""

import math

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.reasoning.mcts import Node


def _uct(known, unknown=math.inf):
    """A version of the rule: `known` for a child with visits, a number for one without."""
    return lambda node, visits, c: known(node, visits, c) if node.N else unknown


@exercise(
    "reasoning.uct",
    title="What it earned, and what is not known",
    signature="uct(node: .N visits, .W sum of values; visits: of the parent, c) -> a number",
    solution="llmrl.reasoning.mcts.uct",
    minutes=7,
    difficulty=1,
    hints=(
        "The mean of the child's values is W / N. Add c times the root of ln(visits) / N; math.log is ln.",
        "A child without a visit has no mean: it comes before all others, so its score is math.inf.",
    ),
    wrong=(
        Wrong(
            "that is the sum of the values; a child that is visited often would never be left again",
            _uct(lambda n, visits, c: n.W + c * math.sqrt(math.log(visits) / n.N)),
        ),
        Wrong(
            "a child nobody looked at comes first, with an infinite score",
            _uct(lambda n, visits, c: n.W / n.N + c * math.sqrt(math.log(visits) / n.N), 0.0),
        ),
        Wrong(
            "the root is missing: c times the root of ln(visits) / N",
            _uct(lambda n, visits, c: n.W / n.N + c * math.log(visits) / n.N),
        ),
        Wrong(
            "the logarithm is missing: without it no child is ever settled",
            _uct(lambda n, visits, c: n.W / n.N + c * math.sqrt(visits / n.N)),
        ),
        Wrong(
            "parent and child are exchanged: what was seldom looked at has the larger bonus",
            _uct(lambda n, visits, c: n.W / n.N + c * math.sqrt(math.log(n.N) / visits)),
        ),
        Wrong("ln is math.log; here it was another base", _uct(
            lambda n, visits, c: n.W / n.N + c * math.sqrt(math.log10(visits) / n.N)
        )),
        Wrong("the mean alone repeats what once went well: the bonus is missing", _uct(lambda n, visits, c: n.W / n.N)),
    ),
)  # fmt: skip
def uct(answer, solution):
    for case, node in {
        "on a child that won 3 of 4": Node(N=4, W=3.0),
        "on a child that lost": Node(N=9, W=-6.0),
        "on a child with one visit": Node(N=1, W=0.5),
        "on a child without a visit": Node(),
    }.items():
        for visits, c in ((20, 1.4), (100, 0.5)):
            yield differs(answer(node, visits, c), solution(node, visits, c), f"{case}, parent {visits}, c {c}")


@exercise(
    "reasoning.credits",
    title="Whose view is it",
    signature="credits(value, nodes: how many, players: 1 or 2) -> list of numbers, the root's first",
    solution="llmrl.reasoning.mcts.credits",
    minutes=8,
    difficulty=2,
    hints=(
        "`value` is how the player to move at the leaf sees it. The leaf keeps what its mover earned, the other.",
        "With two players the last number is -value, the one before it value, and so on up to the root.",
    ),
    wrong=(
        Wrong("with two players the sign has to change from node to node", lambda v, n, players: [v] * n),
        Wrong(
            "the signs were counted from the root: it is the leaf whose sign is known",
            lambda v, n, players: [v] * n if players == 1 else [v if i % 2 else -v for i in range(n)],
        ),
        Wrong(
            "the leaf's own number is for who moved there, and that is not the player to move",
            lambda v, n, players: [v] * n if players == 1 else [v if (n - i) % 2 else -v for i in range(n)],
        ),
        Wrong(
            "one player alone has nobody to change sides with",
            lambda v, n, players: [-v if (n - i) % 2 else v for i in range(n)],
        ),
        Wrong(
            "one number for each node: the root's was forgotten",
            lambda v, n, players: [v] * (n - 1) if players == 1 else [-v if (n - i) % 2 else v for i in range(1, n)],
        ),
        Wrong(
            "nothing is discounted on the way",
            lambda v, n, players: [
                (v if players == 1 else -v if (n - i) % 2 else v) * 0.9 ** (n - 1 - i) for i in range(n)
            ],
        ),
    ),
)
def credits(answer, solution):
    for nodes in (3, 4, 1, 2):
        for players in (2, 1):
            case = f"on a value of 0.5, {nodes} node{'s' * (nodes > 1)}, {players} player{'s' * (players > 1)}"
            yield differs(answer(0.5, nodes, players), solution(0.5, nodes, players), case)
