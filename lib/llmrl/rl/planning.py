r"""Planning: the values and the best policy of a world that is written down.

Bellman's equation says that a state is worth what the next step pays plus gamma times what the next state is worth. For
a given policy that is a system of S linear equations, which one call solves. For the best policy it holds a maximum,
so it is solved by repetition: value iteration backs up every state once per sweep, policy iteration alternates between
solving for the policy's values and acting greedily on them. With gamma below 1 a sweep brings any two guesses closer by
at least the factor gamma, which says how far the answer still is.
Left out: asynchronous orders chosen by priority; linear programming; states too many for a table.

Shapes: S states, A actions. P (S, A, S), R (S, A, S) or (S, A), policy (S, A) chances or (S,) actions.
"""

from dataclasses import dataclass

import numpy as np

from llmrl.rl.mdp import probabilities, tables


def q_from_v(P, R, values, gamma):
    r"""$q(s,a)=\sum_{s'}P(s'|s,a)\,(R(s,a,s')+\gamma\,v(s'))$: one step ahead.  values (S,) -> (S, A)"""
    if np.ndim(R) == 2:
        return R + gamma * P @ values
    return (P * R).sum(-1) + gamma * P @ values


def backup(P, R, values, gamma):
    r"""$\max_a q(s,a)$: every state's value anew, from the values of the states one step ahead.  values (S,) -> (S,)"""
    return q_from_v(P, R, values, gamma).max(-1)


def v_from_q(q, policy):
    r"""$v(s)=\sum_a\pi(a|s)\,q(s,a)$: the policy's mean over its actions.  q (S, A), policy (S, A) or (S,) -> (S,)"""
    return (probabilities(policy, q.shape[1]) * q).sum(-1)


def greedy(q, tolerance=1e-9):
    """The policy that takes the best action; actions within tolerance of the best share evenly.  q (S, A) -> (S, A)"""
    best = q >= q.max(-1, keepdims=True) - tolerance
    return best / best.sum(-1, keepdims=True)


def endings(P, R):
    """(S,) bool: the states that loop onto themselves and pay nothing, whatever one does.  P, R (S, A, S)"""
    stays = np.einsum("sas->sa", P) >= 1 - 1e-8  # (S, A)
    return stays.all(1) & ((P * R).sum(-1) == 0).all(1)


def policy_evaluation(P, R, policy, gamma):
    r"""The policy's values, exactly: the solution of $(I-\gamma P_\pi)\,v=r_\pi$.  -> (S,)

    gamma = 1 is allowed where the policy reaches a state that ends the episode from everywhere.
    """
    P, R = tables(P, R)
    policy = _policy(policy, P)
    ends = _ends(P, R, gamma)
    to, paid = np.einsum("sa,sat->st", policy, P), (policy[..., None] * P * R).sum((1, 2))
    if gamma == 1:
        _proper(to, ends)
    live = ~ends  # an ending is worth 0, so its equation can go
    values = np.zeros(len(P))
    values[live] = np.linalg.solve(np.eye(live.sum()) - gamma * to[np.ix_(live, live)], paid[live])
    return values


def _policy(policy, P):
    policy = probabilities(policy, P.shape[1])
    if len(policy) != len(P):
        raise ValueError(f"a policy needs one row for each of the {len(P)} states, got {len(policy)}")
    return policy


def _ends(P, R, gamma):
    """The endings of the world, when gamma suits it."""
    ends = endings(P, R)
    if not 0 <= gamma <= 1 or (gamma == 1 and not ends.any()):
        raise ValueError(
            f"gamma must lie in [0, 1) when episodes go on for ever, got {gamma}: without discount the sum of rewards "
            f"need not be finite. gamma = 1 needs states that end the episode (self-loops that pay nothing)"
        )
    return ends


def _proper(to, ends):
    """Refuse a policy that can avoid every ending for ever.  to (S, S) chances, ends (S,)"""
    leads, sure = to > 0, ends.copy()
    while (grown := sure | leads[:, sure].any(1)).sum() > sure.sum():
        sure = grown
    if not sure.all():
        raise ValueError(
            f"with gamma = 1 the policy must reach an end from every state, and from state {int((~sure).argmax())} it "
            f"never does: take gamma below 1, or a policy that ends"
        )


@dataclass(frozen=True)
class Sweep:
    """One sweep over all states: the values after it, the largest change it made, backups so far."""

    values: np.ndarray  # (S,)
    change: float
    backups: int  # one backup looks at one state and one action, and at every state it may lead to


def sweeps(P, R, gamma, values=None, order=None):
    r"""Sweep after sweep of $v(s)\leftarrow\max_a q(s,a)$, without end: the caller stops.  values (S,): the first guess

    order: None backs up all states at once from the old values. A list of states goes through them one by one, and each
    new value serves those that follow in the same sweep (in place, or Gauss-Seidel).
    """
    P, paid, v = _prepared(P, R, gamma, values)
    count = 0
    while True:
        old, v = v, v.copy()
        if order is None:
            v = backup(P, paid, v, gamma)
        for s in () if order is None else order:
            v[s] = (paid[s] + gamma * P[s] @ v).max()
        count += (len(v) if order is None else len(order)) * paid.shape[1]
        yield Sweep(v, float(np.abs(v - old).max()), count)


def modified_sweeps(P, R, gamma, repeats, values=None):
    """Modified policy iteration: each sweep takes a maximum, then keeps its actions for `repeats` cheaper backups.

    repeats = 0 is value iteration, more and more of them are policy iteration (Puterman and Shin, 1978).
    """
    if repeats < 0:
        raise ValueError(f"repeats must be 0 or more backups under the kept actions, got {repeats}")
    P, paid, v = _prepared(P, R, gamma, values)
    rows, count = np.arange(len(v)), 0
    while True:
        old, q = v, paid + gamma * P @ v
        best, v = q.argmax(-1), q.max(-1)
        change = float(np.abs(v - old).max())
        to, pays = P[rows, best], paid[rows, best]  # (S, S), (S,)
        for _ in range(repeats):
            v = pays + gamma * to @ v
        count += paid.size + repeats * len(v)
        yield Sweep(v, change, count)


def _prepared(P, R, gamma, values):
    """P, the mean reward of each action (S, A), and the first guess (S,), zeros when none is given."""
    P, R = tables(P, R)
    _ends(P, R, gamma)
    values = np.zeros(len(P)) if values is None else np.array(values, dtype=float)
    if values.shape != (len(P),):
        raise ValueError(f"the first guess must hold one value per state, ({len(P)},), got {values.shape}")
    return P, (P * R).sum(-1), values


def error_bound(change, gamma):
    r"""$\frac{\gamma}{1-\gamma}\max_s|v_{k+1}(s)-v_k(s)|$: no value is farther from the best one after that sweep."""
    return change * gamma / (1 - gamma)


def value_iteration(P, R, gamma, tolerance=1e-10, max_sweeps=100_000):
    """The best values, each within tolerance, and the greedy policy on them.  -> values (S,), policy (S, A)

    It stops when the error cannot exceed tolerance. With gamma = 1 nothing bounds the error: it stops when a sweep
    changes no value by more than tolerance.
    """
    for count, sweep in enumerate(sweeps(P, R, gamma), 1):
        if (error_bound(sweep.change, gamma) if gamma < 1 else sweep.change) <= tolerance:
            return sweep.values, greedy(q_from_v(*tables(P, R), sweep.values, gamma))
        if count >= max_sweeps:
            raise ValueError(
                f"after {count} sweeps a value still changes by {sweep.change:.2g}: use policy_iteration, a smaller "
                f"gamma, or a larger tolerance (with gamma = 1 the best return may be infinite)"
            )


@dataclass(frozen=True)
class Improvement:
    """One step of policy iteration: a policy, its values, and in how many states another action is better."""

    policy: np.ndarray  # (S,) one action per state
    values: np.ndarray  # (S,)
    better: int


def improvements(P, R, gamma, policy=None):
    """Policy iteration step by step, until no action is better than the policy's.  policy (S,): the first, 0 everywhere

    A tie is no reason to change an action: without that rule equal actions could change places for ever.
    """
    P, R = tables(P, R)
    rows = np.arange(len(P))
    policy = np.zeros(len(P), int) if policy is None else np.array(policy)
    while True:
        values = policy_evaluation(P, R, policy, gamma)
        q = q_from_v(P, R, values, gamma)
        better = q.max(-1) > q[rows, policy] + 1e-9
        yield Improvement(policy, values, int(better.sum()))
        if not better.any():
            return
        policy = np.where(better, q.argmax(-1), policy)


def policy_iteration(P, R, gamma, policy=None):
    """The best values, exactly, and the greedy policy on them.  policy (S,) first actions -> values (S,), policy (S, A)

    With gamma = 1 the first policy has to reach an end from every state.
    """
    *_, last = improvements(P, R, gamma, policy)
    return last.values, greedy(q_from_v(*tables(P, R), last.values, gamma))
