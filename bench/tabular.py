"""Tabular Q-learning: a hundred seeds in arrays against one at a time in plain Python, as it is usually written."""

from itertools import islice

import numpy as np

from bench.contest import Contest, agree, row
from llmrl.rl.control import Q_LEARNING, Settings, learn
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import frozen_lake

SETTINGS = Settings(gamma=0.99, alpha=0.1, epsilon=0.2, limit=100)


def pick(chances, random):
    """An index drawn by inverting the running sum."""
    u, total, whole = random.random(), 0.0, sum(chances)
    for i, chance in enumerate(chances):
        total += chance
        if u < total / whole:
            return i
    return len(chances) - 1


def act(values, random):
    """Epsilon-greedy with shared ties."""
    best = max(values) - 1e-9
    ties = sum(v >= best for v in values)
    share = SETTINGS.epsilon / len(values)
    return pick([(1 - SETTINGS.epsilon) * (v >= best) / ties + share for v in values], random)


def by_loop(world, random, steps):
    """Q-learning of one seed with lists, drawing its numbers in the library's order.  -> Q[s][a]"""
    leads, ends, start = world
    q = [[0.0] * len(actions) for actions in leads]
    s, clock = pick(start, random), 0
    a = act(q[s], random)
    for _ in range(steps):
        chances, after, pays = leads[s][a]
        i = pick(chances, random)
        to, paid, clock = after[i], pays[i], clock + 1
        following = act(q[to], random)
        q[s][a] += SETTINGS.alpha * (paid + (0.0 if ends[to] else SETTINGS.gamma * max(q[to])) - q[s][a])
        s, a = to, following
        if ends[to] or clock >= SETTINGS.limit:
            s, clock = pick(start, random), 0
            a = act(q[s], random)
    return q


def as_lists(mdp):
    """What plain Python reads: for every state and action the chances, the next states and the rewards."""
    leads = [
        [[list(x) for x in (row[to], to.tolist(), paid[to])] for row, paid in zip(P, R) for to in [np.flatnonzero(row)]]
        for P, R in zip(mdp.P, mdp.R)
    ]
    return leads, mdp.terminal.tolist(), mdp.start.tolist()


def by_arrays(mdp, random, steps, seeds):
    """The library's loop.  -> tables (N, S, A)"""
    return next(islice(learn(mdp, Q_LEARNING, SETTINGS, random, seeds), steps - 1, None)).tables[0]


@row("tabular.q_learning", threads=(1,))
def against_loop(quick):
    """Slippery FrozenLake, 20 or 100 seeds. On the same dice one seed fills the same table on both sides."""
    lake, seeds, steps = frozen_lake(), 20 if quick else 100, 300 if quick else 2000
    world = as_lists(lake)
    ours, theirs = by_arrays(lake, numpy_rng(0, "x"), 3000, 1)[0], by_loop(world, numpy_rng(0, "x"), 3000)
    agree("the largest difference of any entry", float(np.abs(ours - np.array(theirs)).max()), 0.0, tolerance=1e-10)
    return Contest(
        lambda: by_arrays(lake, numpy_rng(0, "bench"), steps, seeds),
        lambda: by_loop(world, numpy_rng(0, "bench"), steps),
        (steps * seeds, steps),
        "steps/s",
        aim=5.0,
    )
