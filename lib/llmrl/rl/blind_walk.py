r"""The blind cliff walk: a memory in which one transition in thousands matters.

Schaul et al. 2016 (arXiv:1511.05952), section 3.1. Of k states in a row each has a right action, which leads on, and a
wrong one, which ends the episode with nothing; the last right action pays 1. Random play meets state i half as often as
state i-1, so the memory holds $2(2^k-1)$ transitions, two of which belong to the last state. How many updates of a
table does it take until the values of the right actions are known? Left out: the paper's oracle, which knows best.

Shapes: k states, N seeds side by side.
"""

import numpy as np

from llmrl.rl.prioritised import SumTree, priority


def transitions(k):
    """The memory: the state of every transition and whether its action was the right one (1) or not (0)."""
    if k < 1:
        raise ValueError(f"a walk needs one or more states, got {k}")
    counts = 2 ** np.arange(k - 1, -1, -1)
    return np.repeat(np.arange(k), 2 * counts), np.concatenate([np.arange(2 * count) % 2 for count in counts])


def updates_needed(k, by_surprise, random, seeds=20, lr=0.25, most=100_000):
    """Updates until the right actions' values are known to a mean squared error of 0.001.  -> (N,)

    by_surprise draws in proportion to the last TD error; without it every transition keeps the same priority.
    """
    states, right = transitions(k)
    gamma, rows, needed = 1 - 1 / k, np.arange(seeds), np.zeros(seeds, int)
    true = gamma ** np.arange(k - 1, -1, -1.0)
    q = np.zeros((seeds, k + 1, 2))
    q[:, :k] = random.normal(0, 0.1, (seeds, k, 2))
    tree = SumTree(len(states), seeds)
    tree.set(np.tile(np.arange(len(states)), (seeds, 1)), np.ones((seeds, len(states))))  # nothing seen yet: all alike
    for update in range(1, most + 1):
        pick = tree.sample(1, random)[0][:, 0]
        s, a = states[pick], right[pick]
        follows = np.where(s == k - 1, 1.0, gamma * q[rows, s + 1].max(1))  # the last right action pays 1 and ends
        error = np.where(a == 1, follows, 0.0) - q[rows, s, a]
        q[rows, s, a] += lr * error
        if by_surprise:
            tree.set(pick[:, None], priority(error, alpha=1.0, eps=1e-4)[:, None])
        known = ((q[:, :k, 1] - true) ** 2).mean(1) < 1e-3
        needed = np.where((needed == 0) & known, update, needed)
        if needed.all():
            return needed
    raise ValueError(f"after {most} updates {int((needed == 0).sum())} of {seeds} walks are not known: allow more")
