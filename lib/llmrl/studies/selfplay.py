"""Three learners teach themselves Connect Four on 4 rows and 5 columns, and play with and without search on the way.

How strong is the network after 0 to 40 iterations when it moves at once, how strong with 32 evaluations of look-ahead,
and how strong is a search of as many random games? All of them meet each other on the same openings with both colours,
and Bradley and Terry's model turns the points into Elo numbers. The game is also solved, so the share of mistakes of
each, moves that turn a win into a draw or a draw into a loss, is counted on positions in which one can be made. At the
end the last network meets itself with more and more look-ahead.
Left out: a search for good dials, and larger boards, which could not be solved.

Shapes: Y players, O openings.
"""

import copy
import json
from functools import cache, partial

import torch

from llmrl.reasoning.arena import match, openings, raw, searching, unguided
from llmrl.reasoning.self_play import Network, Plan, train
from llmrl.seeds import numpy_rng, rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.boards import Board, perfect, solve
from llmrl.toy.make import SEED

BOARD, PLAN = Board(4, 5, 4, gravity=True), Plan(iterations=40)
LOOKS, BUDGET = (0, 2, 5, 10, 20, 40), 32
PLIES, OPENINGS, POSITIONS, SEEDS = 3, 32, 400, 3
BUDGETS = (2, 4, 8, 16, 32, 64, 128)


@cache
def starts():
    """The openings of every match."""
    return openings(BOARD, PLIES, OPENINGS, numpy_rng(SEED, "openings"))


def judged():
    """Positions in which a mistake can be made, with the moves that are none.  -> [[state, [action]]]"""
    known, dice, found = solve(BOARD), numpy_rng(SEED, "positions"), {}
    while len(found) < POSITIONS:
        for state in openings(BOARD, int(dice.integers(2, 15)), 1, dice):
            good = perfect(BOARD, state, known)
            if len(good) < len(BOARD.actions(state)):
                found[state] = good
    return [[list(state), good] for state, good in found.items()]


def mistakes(choose, positions):
    """The share of positions in which a player gives something away."""
    chosen = choose([tuple(state) for state, _ in positions])
    return sum(action not in good for action, (_, good) in zip(chosen, positions)) / len(positions)


def snapshots(seed):
    """Train one learner.  -> {iterations: network}, records"""
    network = Network(BOARD, generator=rng(SEED, "weights", seed))
    kept, records = {0: copy.deepcopy(network)}, []
    for record in train(BOARD, network, PLAN, f"{SEED} {seed}"):
        records.append(record)
        if record["iteration"] in LOOKS:
            kept[record["iteration"]] = copy.deepcopy(network)
    return kept, records


def players(networks, seed):
    """Everybody who takes part, by name."""
    dice = partial(numpy_rng, SEED, seed)
    return {
        "random": unguided(BOARD, 0, dice("random")),
        "random games": unguided(BOARD, BUDGET, dice("random games")),
        **{f"network {i}": raw(network, BOARD) for i, network in networks.items()},
        **{f"search {i}": searching(network, BOARD, BUDGET) for i, network in networks.items()},
    }


def tournament(everybody):
    """Points of each against each.  -> (Y, Y), out of twice the openings"""
    points = torch.zeros(len(everybody), len(everybody), dtype=torch.double)
    for i, one in enumerate(everybody.values()):
        for j, two in enumerate(everybody.values()):
            if i < j:
                won = match(BOARD, one, two, starts())
                points[i, j], points[j, i] = won.sum(), (1 - won).sum()
    return points


def run(seed, positions):
    """One learner from the first weights to the last match."""
    networks, records = snapshots(seed)
    everybody, last = players(networks, seed), networks[LOOKS[-1]]
    return rounded({
        "records": records,
        "players": list(everybody),
        "points": tournament(everybody).tolist(),
        "mistakes": {name: mistakes(choose, positions) for name, choose in everybody.items()},
        "budgets": {
            n: match(BOARD, searching(last, BOARD, n), raw(last, BOARD), starts()).mean().item() for n in BUDGETS
        },
    })  # fmt: skip


def make(kept):
    """Compute what is missing and ship it."""
    positions = kept("positions", judged)
    runs = [kept(f"learner {seed}", partial(run, seed, positions)) for seed in range(SEEDS)]
    found = {"openings": starts(), "positions": positions, "runs": runs}
    files.ship("studies/selfplay.json", json.dumps(found) + "\n")
