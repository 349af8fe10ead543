r"""Markov chains: where a state leads by chance alone, and how much time is spent where in the long run.

A chain is one matrix, P[s, s'], the chance to be in s' after s. Its stationary distribution is the one that a step
leaves as it is, $\mu P=\mu$: a system of linear equations. Multiplying any first guess by P again and again (the power
method) gets there too, unless the chain has a rhythm: in a chain with a period the guess goes round for ever, while
the share of time spent in each state still settles at the stationary distribution.
Left out: chains that fall apart into pieces, which have no single long run and are refused; countably many states.

Shapes: S states, N walkers, T steps.
"""

from math import gcd

import numpy as np

from llmrl.rl.mdp import cumulate, distribution, invert


def transitions(P):
    """P as a float64 array (S, S), or an error that says which rule it breaks."""
    P = np.array(P, dtype=float)
    if P.ndim != 2 or P.shape[0] != P.shape[1] or not P.size:
        raise ValueError(f"a chain is one row of next-state chances per state, (S, S), got {P.shape}")
    return distribution(P, "rows of P", "P[s]")


def stationary(P):
    r"""$\mu P=\mu,\ \sum\mu=1$: the distribution that a step leaves as it is.  P (S, S) -> (S,)"""
    P = transitions(P)
    S = len(P)
    pieces = S - np.linalg.matrix_rank(np.eye(S) - P)
    if pieces > 1:
        raise ValueError(f"this chain has {pieces} parts without a way out, so its long run depends on where it starts")
    equations = np.vstack([(P.T - np.eye(S))[:-1], np.ones(S)])  # one of the S is implied; the sum takes its place
    return np.linalg.solve(equations, np.eye(S)[-1])


def after_steps(P, start, steps):
    """The distribution after 0, 1, ..., T steps from start (S,): the power method, every round kept.  -> (T+1, S)"""
    P, rows = transitions(P), [distribution(start, "start", "it")]
    if steps < 0:
        raise ValueError(f"steps must be 0 or more, got {steps}")
    for _ in range(steps):
        rows.append(rows[-1] @ P)
    return np.array(rows)


def walk(P, begin, steps, random):
    """N walkers through a chain, all at once.  begin (N,) states -> states (T+1, N)"""
    P, begin = transitions(P), np.asarray(begin)
    if begin.ndim != 1 or not np.issubdtype(begin.dtype, np.integer) or not np.isin(begin, range(len(P))).all():
        raise ValueError(f"begin must be (N,) states from 0 to {len(P) - 1}, got {begin!r}")
    running, states = cumulate(P), np.empty((steps + 1, len(begin)), int)
    states[0] = begin
    for t in range(steps):
        states[t + 1] = invert(running[states[t]], random)
    return states


def shares(states, count):
    """The share of time that each walker spent in each of `count` states.  states (T, N) -> (N, S)"""
    return np.stack([(states == s).mean(0) for s in range(count)], -1)


def period(P):
    """The rhythm of a chain that holds together: every way back to a state takes a multiple of so many steps."""
    leads = transitions(P) > 0
    depth, edge, rhythm = {0: 0}, [0], 0
    while edge:
        s = edge.pop()
        for after in np.flatnonzero(leads[s]).tolist():
            if after not in depth:
                depth[after] = depth[s] + 1
                edge.append(after)
            rhythm = gcd(rhythm, depth[s] + 1 - depth[after])
    back = np.linalg.matrix_power(np.eye(len(leads)) + leads, len(leads))[:, 0] > 0  # who can reach state 0
    if len(depth) < len(leads) or not back.all():
        raise ValueError("a period belongs to a chain in which every state leads to every other, and this one's do not")
    return rhythm
