"""How often a tree search with random games loses tic-tac-toe, against the number of evaluations per move.

Every run is a search for each position it can come to, once for each class of mirrored positions, and then all replies
of the opponent are followed: the chance of losing to one who draws among all perfect replies, and whether there is any
line at all in which the search loses. Only the search has dice.
Left out: other constants than 1.4 in the bonus.
"""

import json
from functools import cache, partial

from llmrl.reasoning.arena import results
from llmrl.reasoning.mcts import best, mcts
from llmrl.seeds import numpy_rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.boards import TIC_TAC_TOE, perfect, solve
from llmrl.toy.make import SEED

BUDGETS, RUNS = (10, 30, 100, 300, 1000, 2000), 24


@cache
def faultless(state):
    """All perfect replies."""
    return perfect(TIC_TAC_TOE, state, table())


@cache
def table():
    return solve(TIC_TAC_TOE)


def run(budget, seed):
    """One search per position.  -> {"first" or "second": [chance of losing to perfect play, beatable at all]}"""
    dice, chosen = numpy_rng(SEED, "never lost", budget, seed), {}

    def choose(state):
        if state not in chosen:
            chosen[state] = best(mcts(TIC_TAC_TOE, state, budget, generator=dice))
        return chosen[state]

    return rounded({
        name: [
            results(TIC_TAC_TOE, choose, faultless, first)[2],
            results(TIC_TAC_TOE, choose, TIC_TAC_TOE.actions, first)[2] > 0,
        ]
        for name, first in (("first", True), ("second", False))
    })  # fmt: skip


def make(kept):
    """Compute what is missing and ship it."""
    found = {
        str(budget): [kept(f"{budget} {seed}", partial(run, budget, seed)) for seed in range(RUNS)]
        for budget in BUDGETS
    }
    files.ship("studies/never_lost.json", json.dumps(found) + "\n")
