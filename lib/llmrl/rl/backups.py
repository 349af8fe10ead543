r"""How far a method looks before it changes a value, and how much it reads for that.

A backup carries what follows a state back to it. It can be wide, over everything that may happen, or follow the one
thing that did; it can look one step ahead and then guess, or go on to the end. Dynamic programming is wide and shallow,
temporal differences narrow and shallow, Monte Carlo narrow and deep, and exhaustive search wide and deep: a tree. The
unit of cost is one transition read: one (s, a, r, s'), from the model or from experience.
Left out: trees that are searched in part (Monte Carlo tree search); backups of the best action instead of the mean.

Shapes: S states, A actions.
"""

import numpy as np

from llmrl.rl.mdp import chain, probabilities


def leads(mdp, policy):
    """(S,) lists of what may happen in a state: (chance, reward, next state) per action and successor."""
    policy = probabilities(policy, mdp.actions)
    joint = policy[..., None] * mdp.P  # (S, A, S)
    return [[(joint[s, a, t], mdp.R[s, a, t], t) for a, t in zip(*np.nonzero(joint[s]))] for s in range(mdp.states)]


def exhaustive(mdp, policy, state, depth, gamma):
    """A state's value by a tree of all futures of that depth, and the transitions read.  The guess at a leaf is 0"""
    return grow(leads(mdp, policy), mdp.terminal, state, _deep(depth), gamma)


def grow(branches, terminal, state, depth, gamma):
    """The same from the lists of leads; terminal (S,) bool."""
    if depth == 0 or terminal[state]:
        return 0.0, 0
    value, read = 0.0, 0
    for chance, paid, after in branches[state]:
        below, more = grow(branches, terminal, after, depth - 1, gamma)
        value, read = value + chance * (paid + gamma * below), read + 1 + more
    return value, read


def tree_size(mdp, policy, depth):
    """(S,) transitions that exhaustive reads from each state, counted without growing the tree.  Exact, of any size"""
    branches, sizes = leads(mdp, policy), [0] * mdp.states
    for _ in range(_deep(depth)):
        sizes = [
            0 if mdp.terminal[s] else sum(1 + sizes[after] for _, _, after in branches[s]) for s in range(mdp.states)
        ]
    return sizes


def sweep_values(mdp, policy, depth, gamma):
    """Dynamic programming from a guess of 0: the values after so many sweeps (S,), and the transitions read."""
    to, paid = chain(mdp, policy)
    values = np.zeros(mdp.states)
    for _ in range(_deep(depth)):
        values = paid + gamma * to @ values
    width = sum(len(found) for found, over in zip(leads(mdp, policy), mdp.terminal) if not over)
    return values, depth * width


def _deep(depth):
    if not isinstance(depth, (int, np.integer)) or depth < 0:
        raise ValueError(f"depth must be a whole number of steps, 0 or more, got {depth!r}")
    return depth
