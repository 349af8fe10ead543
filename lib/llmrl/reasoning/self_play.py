r"""Self-play: a network that learns a game from a search that the network guides (AlphaGo Zero, AlphaZero, in small).

The network looks at a position and says two things: how likely each move is to be the best, and who will win. A tree
search asks it at every leaf instead of playing on at random, so its moves are better than the network's own. Games
played in this way are the lessons: the network learns to predict the search's visits, $-\sum_a\pi_a\log p_a$, and the
result of the game, $(z-v)^2$. Then the better network guides a better search (Silver et al. 2017, 2018; the same idea
in Anthony et al. 2017, arXiv:1705.08439). Noise on the priors of the root and moves drawn by visits keep games apart.
All games of an iteration advance together, so that one call of the network answers for a leaf of each.
Left out: convolutions and residual blocks, the tournament in which a new network earns its place, resignation.

Shapes: B positions, C cells, A actions (a cell, or a column), H hidden units, G games.
"""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from llmrl.reasoning.mcts import Node, back_up, best, expand, select
from llmrl.seeds import numpy_rng, rng


@dataclass(frozen=True)
class Plan:
    """What one learner does."""

    iterations: int = 30
    games: int = 64  # G, played side by side in each
    budget: int = 32  # evaluations per move
    c: float = 1.5
    alpha: float = 1.0  # of the Dirichlet noise on the root's priors
    mix: float = 0.25  # its share
    drawn: int = 6  # so many first moves are drawn by visits, later ones are the most visited
    remembered: int = 4  # iterations whose games are learned from
    updates: int = 100  # gradient steps per iteration, each on 128 positions
    lr: float = 2e-3


class Network(nn.Module):
    """What a position says: a logit for every action, and who will win.  marks (B, 2 C) -> (B, A), (B)"""

    def __init__(self, board, width=128, generator=None):
        super().__init__()
        sizes = (2 * board.rows * board.columns, width, width)
        self.body = nn.ModuleList(nn.Linear(*two) for two in zip(sizes, sizes[1:]))
        self.policy, self.value = nn.Linear(width, board.moves), nn.Linear(width, 1)
        with torch.no_grad():
            for layer in (*self.body, self.policy, self.value):
                layer.weight.normal_(0, (2 / layer.in_features) ** 0.5, generator=generator)
                layer.bias.zero_()
            self.policy.weight.mul_(0.1)  # at first all moves are about equally likely
            self.value.weight.mul_(0.1)

    def forward(self, marks):
        for layer in self.body:
            marks = layer(marks).relu()  # (B, H)
        return self.policy(marks), self.value(marks).squeeze(-1).tanh()


def marks(board, states):
    """Positions as numbers: a one for each cell with a mark of mine, then for each with a mark of theirs.  (B, 2 C)"""
    bits = np.array(states, dtype=np.int64)[:, :, None] >> np.arange(board.rows * board.columns) & 1  # (B, 2, C)
    return torch.from_numpy(bits.reshape(len(states), -1).astype(np.float32))


@torch.no_grad()
def ask(network, board, states):
    """Priors over the legal actions and the value of each position.  -> [{action: P}], [value]"""
    logits, values = network(marks(board, states))
    priors = []
    for row, state in zip(logits.exp().tolist(), states):
        legal = board.actions(state)
        total = sum(row[a] for a in legal)
        priors.append({a: row[a] / total for a in legal})
    return priors, values.tolist()


def evaluator(network, board):
    """The network as mcts() asks it, one position at a time."""

    def evaluate(state):
        priors, values = ask(network, board, [state])
        return priors[0], values[0]

    return evaluate


def search(network, board, states, budget, c, noise=None):
    """mcts() from many positions side by side, the leaves of all asked in one call.  -> roots

    noise: (alpha, its share, generator), mixed into the priors of the roots.
    """
    roots = [Node(state) for state in states]
    for turn in range(budget):
        paths = [select(board, root, c) for root in roots]
        results = [board.outcome(path[-1].state) for path in paths]
        leaves = [path[-1] for path, result in zip(paths, results) if result is None]
        answers = iter(zip(*ask(network, board, [leaf.state for leaf in leaves]))) if leaves else iter(())
        for path, value in zip(paths, results):
            if value is None:
                priors, value = next(answers)
                expand(board, path[-1], priors)
            back_up(path, value, board.players)
        if turn == 0 and noise:
            stir(roots, *noise)
    return roots


def stir(roots, alpha, mix, generator):
    """Dirichlet noise on the priors of every root's children: (1 - mix) P + mix noise."""
    for root in roots:
        for child, extra in zip(root.children.values(), generator.dirichlet([alpha] * len(root.children))):
            child.P = (1 - mix) * child.P + mix * extra


def play_games(network, board, plan, generator):
    """Games of the searching network against itself.  -> [(state, {action: share of visits}, result)]

    The result is the game's, as the player to move at that state sees it.
    """
    games = [[] for _ in range(plan.games)]  # for each the positions so far
    states, running = [board.start] * plan.games, list(range(plan.games))
    while running:
        noise = plan.alpha, plan.mix, generator
        roots = search(network, board, [states[g] for g in running], plan.budget, plan.c, noise)
        for g, root in zip(running, roots):
            shares = {a: child.N / (root.N - 1) for a, child in root.children.items()}
            early = len(games[g]) < plan.drawn
            action = pick(shares, generator) if early else best(root)
            games[g].append((states[g], shares))
            states[g] = board.play(states[g], action)
        running = [g for g in running if board.outcome(states[g]) is None]
    return [told for g, game in enumerate(games) for told in labelled(game, board.outcome(states[g]))]


def pick(shares, generator):
    """An action drawn by its share."""
    return list(shares)[int(generator.choice(len(shares), p=list(shares.values())))]


def labelled(game, last):
    """Each position of a game with the result; `last` is how the player sees it who would move after the end."""
    signs = [-1 if (len(game) - t) % 2 else 1 for t in range(len(game))]
    return [(state, shares, sign * last) for (state, shares), sign in zip(game, signs)]


def tensors(board, lessons):
    """Lessons and their mirror images as tensors.  -> marks (B, 2 C), visits (B, A), results (B)"""
    seen, shares = marks(board, [state for state, _, _ in lessons]), torch.zeros(len(lessons), board.moves)
    for row, (_, share, _) in zip(shares, lessons):
        row[list(share)] = torch.tensor(list(share.values()))
    results, cells = torch.tensor([result for *_, result in lessons]), board.rows * board.columns
    places = [torch.tensor(symmetry) for symmetry in board.symmetries]
    turned = [seen.view(-1, 2, cells)[:, :, p.argsort()].flatten(1) for p in places]
    moved = [shares[:, p[: board.moves].argsort()] for p in places]
    return torch.cat(turned), torch.cat(moved), results.repeat(len(places))


def loss(network, seen, visits, results):
    r"""$-\sum_a\pi_a\log p_a+(z-v)^2$ for each position.  -> (B)"""
    logits, values = network(seen)
    return F.cross_entropy(logits, visits, reduction="none") + (results - values) ** 2


def train(board, network, plan, seed):
    """Play, remember, learn, again and again.  Yields a record after each iteration; the network changes in place."""
    dice, memory = numpy_rng(seed, "self-play"), []
    optimizer = torch.optim.AdamW(network.parameters(), plan.lr, weight_decay=1e-4)
    order = rng(seed, "batches")
    for iteration in range(plan.iterations):
        lessons = play_games(network, board, plan, dice)
        memory = [*memory, lessons][-plan.remembered :]
        data, losses = tensors(board, sum(memory, [])), []
        for _ in range(plan.updates):
            batch = torch.randint(len(data[0]), (128,), generator=order)
            losses.append(loss(network, *(x[batch] for x in data)).mean())
            optimizer.zero_grad()
            losses[-1].backward()
            optimizer.step()
        first = [result for state, _, result in lessons if state == board.start]
        yield {
            "iteration": iteration + 1,
            "loss": torch.stack(losses).mean().item(),
            "moves": len(lessons) / plan.games,
            "first player": sum(first) / len(first),
        }
