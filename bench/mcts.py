"""Tree search: nodes and a loop against dictionaries and recursion, and many trees side by side against one by one."""

import math

from bench.contest import Contest, agree, row
from llmrl.reasoning.mcts import mcts
from llmrl.reasoning.self_play import Network, evaluator, search
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.boards import TIC_TAC_TOE, Board

DROP, C = Board(4, 5, 4, gravity=True), 1.4


def by_recursion(game, budget, dice):
    """UCT as it is often written down: dictionaries of visits and sums under the moves so far.  -> {action: visits}"""
    visited, total = {(): 0}, {(): 0.0}
    moves = {}  # the actions of every expanded node

    def played_on(state):
        value = game.outcome(state)
        if value is not None:
            return value
        actions = game.actions(state)
        return -played_on(game.play(state, actions[int(dice.random() * len(actions))]))

    def once(key, state):
        """One simulation below a node.  -> the value as the player to move there sees it"""
        value = game.outcome(state)
        if value is None and key not in moves:
            value, moves[key] = played_on(state), game.actions(state)
        elif value is None:

            def score(action):
                n = visited.get(key + (action,), 0)
                return total[key + (action,)] / n + C * math.sqrt(math.log(visited[key]) / n) if n else math.inf

            action = max(moves[key], key=score)
            value = -once(key + (action,), game.play(state, action))
        visited[key] = visited.get(key, 0) + 1
        total[key] = total.get(key, 0.0) - value
        return value

    for _ in range(budget):
        once((), game.start)
    return {action: visited.get((action,), 0) for action in moves[()]}


@row("mcts.simulations", threads=(1,))
def against_recursion(quick):
    """Tic-tac-toe from the empty board, random play at the leaves; the same dice give the same visits."""
    budget = 200 if quick else 3000
    ours = mcts(TIC_TAC_TOE, TIC_TAC_TOE.start, budget, c=C, generator=numpy_rng(0, "x"))
    theirs = by_recursion(TIC_TAC_TOE, budget, numpy_rng(0, "x"))
    agree("the visits of every first move", {a: n.N for a, n in ours.children.items()}, theirs)
    return Contest(
        lambda: mcts(TIC_TAC_TOE, TIC_TAC_TOE.start, budget, c=C, generator=numpy_rng(0, "bench")),
        lambda: by_recursion(TIC_TAC_TOE, budget, numpy_rng(0, "bench")),
        budget,
        "simulations/s",
        aim=1.0,
    )


@row("mcts.network", threads=(1,))
def against_one_by_one(quick):
    """64 searches at Connect Four, 4 rows and 5 columns: one call of the network for all leaves, or one for each."""
    count, budget = (8, 8) if quick else (64, 32)
    network, states = Network(DROP, generator=rng(0, "weights")), [DROP.start] * count
    evaluate = evaluator(network, DROP)
    ours = search(network, DROP, states, budget, C)[0]
    theirs = mcts(DROP, DROP.start, budget, evaluate, C)
    agree("the visits of every first move", *({a: n.N for a, n in r.children.items()} for r in (ours, theirs)))
    return Contest(
        lambda: search(network, DROP, states, budget, C),
        lambda: [mcts(DROP, state, budget, evaluate, C) for state in states],
        count * budget,
        "simulations/s",
        aim=2.0,
    )
