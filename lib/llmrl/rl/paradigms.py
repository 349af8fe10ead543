r"""Three learners of one log: what each is told, and what it can make of it.

A log of moves in a world can be told to a learner in three ways. Without anything beside the places, it can put
together what lies close (clustering, here k-means). With a teacher's answer beside each place, it can give the answer
of the nearest place it was told about (classification). With what was done, what it paid and where it led, it can
count how the world works, plan in what it counted, and find a behaviour that nobody showed it (reinforcement
learning).
Left out: better learners of each kind; the log is small, and the point is what they are told.

Shapes: N rows of the log, D coordinates, K clusters, S states, A actions.
"""

import numpy as np

from llmrl.rl.episodes import play
from llmrl.rl.offline import Log, counted


def logged(mdp, policy, random, players, steps, begin=None):
    """The steps of so many players, row by row.  -> Log of (N,)"""
    seen = play(mdp, policy, random, players, steps, begin)
    return Log(*(x[seen.live] for x in (seen.states[:-1], seen.actions, seen.rewards, seen.states[1:])))


def squared_distances(a, b):
    """a (N, D), b (K, D) -> (N, K)"""
    return ((a[:, None] - b) ** 2).sum(-1)


def clusters(points, k, random, tries=10, rounds=100):
    """k-means: K centres such that points lie close to the nearest; the best of some tries.  (N, D) -> (N,), (K, D)"""
    points = np.asarray(points, dtype=float)
    kinds = np.unique(points, axis=0)
    if not 1 <= k <= len(kinds):
        raise ValueError(f"k must lie in 1 to {len(kinds)}, the number of different points, got {k}")
    found = []
    for _ in range(tries):
        centres = random.permutation(kinds)[:k]
        for _ in range(rounds):
            nearest_one = squared_distances(points, centres).argmin(1)
            kept = [points[nearest_one == i].mean(0) if (nearest_one == i).any() else centres[i] for i in range(k)]
            if np.array_equal(kept, centres):
                break
            centres = np.array(kept)
        spread = squared_distances(points, centres)
        found.append((spread.min(1).sum(), spread.argmin(1), centres))
    return min(found, key=lambda one: one[0])[1:]


def nearest_label(points, labels, asked):
    """For each place asked about, the label of the nearest labelled one.  (N, D), (N,), (M, D) -> (M,)"""
    points, labels = np.asarray(points, dtype=float), np.asarray(labels)
    if len(points) != len(labels) or not len(labels):
        raise ValueError(f"every point needs one label, of one or more, got {len(points)} and {len(labels)}")
    return labels[squared_distances(np.asarray(asked, dtype=float), points).argmin(1)]


def counted_world(log, states, actions):
    """P (S, A, S) and R (S, A) as shares and means of what was logged; what was never tried stays put and pays 0."""
    seen, stays = counted(log, states, actions), np.eye(states)[:, None]
    return np.where(seen.counts[..., None] > 0, seen.leads, stays), seen.paid
