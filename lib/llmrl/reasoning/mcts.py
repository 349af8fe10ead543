r"""Monte Carlo tree search: look ahead where it pays, and judge a move by how often it was looked at.

A tree of positions grows by one evaluation at a time, in four steps. Select: from the root go down, at every node to
the child with the best sum of what it earned so far and of what is not known about it. Expand: give the leaf its
children. Evaluate: say what the leaf is worth, by playing on at random to the end or by asking somebody. Back up: add
that to every node on the way. Without priors the sum is UCT (Kocsis and Szepesvári 2006),

    $Q(a)+c\sqrt{\ln N/N(a)}$,

with priors it is PUCT as in AlphaGo Zero (Silver et al. 2017), $Q(a)+c\,P(a)\sqrt N/(1+N(a))$, where N counts the
visits of the parent. At the end the move that was visited most is played.

A game has `players` (1 or 2, who move in turn), `actions(state)` -> list, `play(state, action)` -> state, and
`outcome(state)` -> None while it goes on, else a number as the player to move sees it. An `evaluate(state)` returns
(priors {action: P} or None, value as the player to move sees it). The values should lie between -1 and 1: c is chosen
for them.
Left out: keeping the tree from move to move, positions reached on two ways, chance, and players who move twice.
"""

import math
from dataclasses import dataclass


@dataclass(slots=True)
class Node:
    """A position and what is known about the move that led to it."""

    state: object = None  # filled in when the node is first selected
    P: float | None = None  # the prior of the move
    N: int = 0  # how often it was looked at
    W: float = 0.0  # the sum of the values, as the player sees them who made the move
    children: dict | None = None  # {action: Node} once expanded

    @property
    def Q(self):
        """The mean value, 0 before the first visit."""
        return self.W / self.N if self.N else 0.0


def uct(node, visits, c):
    r"""$Q+c\sqrt{\ln N/n}$ for a child with n visits under a parent with N; infinite before the first."""
    return node.W / node.N + c * math.sqrt(math.log(visits) / node.N) if node.N else math.inf


def puct(node, visits, c):
    r"""$Q+c\,P\sqrt N/(1+n)$ for a child with n visits under a parent with N."""
    return node.Q + c * node.P * math.sqrt(visits) / (1 + node.N)


def select(game, root, c):
    """Go down to a node without children.  -> the nodes on the way, the root first"""
    path = [root]
    while (node := path[-1]).children:
        score = uct if next(iter(node.children.values())).P is None else puct
        action, child = max(node.children.items(), key=lambda item: score(item[1], node.N, c))
        if child.state is None:
            child.state = game.play(node.state, action)
        path.append(child)
    return path


def expand(game, node, priors=None):
    """Give a node one child for each action; priors: {action: P}, of exactly these actions, or None."""
    actions = game.actions(node.state)
    if not actions:
        raise ValueError(f"no action and no outcome at {node.state!r}: outcome() must say how a finished game ended")
    if priors is not None and priors.keys() != set(actions):
        raise ValueError(
            f"priors must be for the legal actions {actions} and no others, got {list(priors)}: leave illegal moves "
            f"out and give every legal one a number"
        )
    node.children = {action: Node(P=None if priors is None else float(priors[action])) for action in actions}


def rollout(game, state, generator):
    """Play on at random until the end.  -> the outcome, as the player to move at `state` sees it"""
    turns = 0
    while (value := game.outcome(state)) is None:
        actions = game.actions(state)
        state = game.play(state, actions[int(generator.random() * len(actions))])
        turns += 1
    return -value if game.players == 2 and turns % 2 else value


def credits(value, nodes, players):
    """What a leaf's value, as its player to move sees it, adds to each node on the way, as its own mover sees it.

    -> as many numbers as nodes, the root's first
    """
    if players == 1:
        return [value] * nodes
    return [-value if (nodes - i) % 2 else value for i in range(nodes)]


def back_up(path, value, players):
    """Count a leaf's value at every node on the way."""
    for node, credit in zip(path, credits(value, len(path), players)):
        node.N += 1
        node.W += credit


def simulate(game, root, evaluate, c):
    """The four steps, once.  -> the nodes on the way"""
    path = select(game, root, c)
    leaf = path[-1]
    value = game.outcome(leaf.state)
    if value is None:
        priors, value = evaluate(leaf.state)
        expand(game, leaf, priors)
    if not math.isfinite(value):
        raise ValueError(f"the value of {leaf.state!r} is {value}: evaluate() and outcome() must give finite numbers")
    back_up(path, value, game.players)
    return path


def mcts(game, state, budget, evaluate=None, c=1.4, generator=None):
    """Look ahead from a state for `budget` evaluations; by default each is one game played on at random.

    generator: seeds.numpy_rng(...), needed for random play only.  -> the root: its children hold N, Q and P
    """
    root = rooted(game, state, budget)
    if evaluate is None:
        if not hasattr(generator, "random"):
            raise ValueError(f"random play needs a generator such as seeds.numpy_rng(0, 'search'), got {generator!r}")
        evaluate = lambda leaf: (None, rollout(game, leaf, generator))  # noqa: E731
    for _ in range(budget):
        simulate(game, root, evaluate, c)
    return root


def rooted(game, state, budget):
    """A root for a search, or what is wrong with it."""
    if not isinstance(budget, int) or isinstance(budget, bool) or budget < 1:
        raise ValueError(f"budget must be a whole number of at least 1, got {budget!r}: it counts the evaluations")
    if game.players not in (1, 2):
        raise ValueError(f"a game has 1 player or 2 who move in turn, got players = {game.players!r}")
    if game.outcome(state) is not None:
        raise ValueError(f"the game is over at {state!r}: there is no move to search for")
    return Node(state)


def best(root):
    """The action visited most, among equals the one with the highest prior, then the first."""
    return max(root.children, key=lambda a: (root.children[a].N, root.children[a].P or 0.0))


def visits(root):
    """{action: share of the visits}, what a search recommends."""
    total = sum(child.N for child in root.children.values())
    if not total:
        raise ValueError("no move has been looked at: the first evaluation is the root's own, search with 2 or more")
    return {action: child.N / total for action, child in root.children.items()}
