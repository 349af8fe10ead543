r"""Who plays better: matches, Elo numbers, and the solved game as a judge.

A player is a function from positions to moves. In a match two players finish the same openings with both colours, so
that luck with the opening is the same for both. From the points of many matches follow strengths: Elo's number is
Bradley and Terry's score on another scale, $400/\ln10$ points for one unit, so that 400 points more mean ten wins for
one loss; a draw is half a win for each. Where a game is solved one can also ask what is exactly true: which moves give
something away, and whether a player can be beaten at all, whatever is played against it.
Left out: ratings that change from game to game.

Shapes: Y players, O openings.
"""

import math

import torch

from llmrl.preference import bradley_terry
from llmrl.reasoning.mcts import best, mcts
from llmrl.reasoning.self_play import ask, search

ELO = 400 / math.log(10)


def raw(network, board):
    """The move that the network thinks likeliest, without search."""
    return lambda states: [max(prior, key=prior.get) for prior in ask(network, board, states)[0]]


def searching(network, board, budget, c=1.5):
    """The move that the guided search visits most."""
    return lambda states: [best(root) for root in search(network, board, states, budget, c)]


def unguided(board, budget, generator, c=1.4):
    """The move that a search by random play visits most; with a budget of 0 a random move."""

    def choose(states):
        if not budget:
            return [random_move(board, state, generator) for state in states]
        return [best(mcts(board, state, budget, c=c, generator=generator)) for state in states]

    return choose


def random_move(board, state, generator):
    """Any legal move, all equally likely."""
    moves = board.actions(state)
    return moves[int(generator.random() * len(moves))]


def openings(board, plies, count, generator):
    """Positions after so many random moves, none twice and none finished."""
    found = {}
    for _ in range(1000 * count):
        state = board.start
        for _ in range(plies):
            if board.outcome(state) is None:
                state = board.play(state, random_move(board, state, generator))
        if board.outcome(state) is None:
            found[state] = None
        if len(found) == count:
            return list(found)
    raise ValueError(f"only {len(found)} different positions after {plies} moves were found, {count} were asked for")


def match(board, one, two, starts):
    """Points of player one: 1 for a win, 1/2 for a draw.  -> (O, 2): it moves first, it moves second"""
    return torch.stack([finished(board, (one, two), starts), 1 - finished(board, (two, one), starts)], 1)


def finished(board, players, starts):
    """Play all openings to the end, side by side.  -> points of the player who moves first there (O)"""
    states, turn = list(starts), 0
    running = [i for i, state in enumerate(states) if board.outcome(state) is None]
    ended = [0] * len(states)
    while running:
        for i, action in zip(running, players[turn % 2]([states[i] for i in running])):
            states[i] = board.play(states[i], action)
        turn += 1
        ended = [turn if i in set(running) else moves for i, moves in enumerate(ended)]
        running = [i for i in running if board.outcome(states[i]) is None]
    signs = torch.tensor([-1.0 if moves % 2 else 1.0 for moves in ended])
    return (1 + signs * torch.tensor([board.outcome(state) for state in states])) / 2


def elo(points):
    """Elo numbers and the standard errors of their differences; points (Y, Y): what i won against j in all."""
    scores = bradley_terry.fit(points)
    return ELO * scores, ELO * bradley_terry.spread(scores, points)


def results(board, choose, replies, first=True, state=None, known=None):
    """Chances of (win, draw, loss) for a player against an opponent who draws one of replies(state) at random.

    Exact: every reply is followed. choose(state) -> action is asked once for each class of mirrored positions.
    """
    known, state = {} if known is None else known, board.start if state is None else state
    value, place = board.outcome(state), board.canonical(state)
    if (place, first) not in known:
        if value is not None:
            seen = value if first else -value  # `first` says that the player itself is to move
            known[place, first] = (float(seen > 0), float(seen == 0), float(seen < 0))
        else:
            moves = [choose(place)] if first else replies(place)
            after = [results(board, choose, replies, not first, board.play(place, a), known) for a in moves]
            known[place, first] = tuple(sum(x) / len(after) for x in zip(*after))
    return known[place, first]
