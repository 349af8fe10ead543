"""Planning: value iteration on arrays against the loops over states in which it is usually written down."""

import gymnasium
import numpy as np

from bench.contest import Contest, agree, row
from llmrl.rl.mdp import from_gymnasium
from llmrl.rl.planning import value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp

GAMMA, TOLERANCE = 0.95, 1e-8


def by_dictionary(table, states, actions):
    """Value iteration over Gymnasium's own table, outcome by outcome, in plain Python.  -> values, sweeps"""
    values, sweeps = [0.0] * states, 0
    while True:
        new = [
            max(
                sum(p * (r + GAMMA * values[after] * (not ended)) for p, after, r, ended in table[s][a])
                for a in range(actions)
            )
            for s in range(states)
        ]
        change = max(abs(a - b) for a, b in zip(new, values))
        values, sweeps = new, sweeps + 1
        if change * GAMMA / (1 - GAMMA) <= TOLERANCE:
            return values, sweeps


def by_state(P, R):
    """Value iteration with arrays for the actions and a loop over the states.  P (S, A, S), R (S, A)"""
    values, sweeps = np.zeros(len(P)), 0
    while True:
        new = np.array([max(R[s] + GAMMA * P[s] @ values) for s in range(len(P))])
        change = np.abs(new - values).max()
        values, sweeps = new, sweeps + 1
        if change * GAMMA / (1 - GAMMA) <= TOLERANCE:
            return values, sweeps


def alike(ours, theirs):
    agree("the largest difference of any value", float(np.abs(ours - np.array(theirs)).max()), 0.0, tolerance=1e-10)


@row("planning.dictionary", threads=(1,))
def against_dictionary(quick):
    """FrozenLake, 16 or 64 states: the arrays hold every pair of states, the dictionary only what can happen."""
    env = gymnasium.make("FrozenLake-v1", map_name="4x4" if quick else "8x8")
    lake, table = from_gymnasium(env), env.unwrapped.P
    theirs, sweeps = by_dictionary(table, lake.states, lake.actions)
    alike(value_iteration(lake.P, lake.R, GAMMA, TOLERANCE)[0], theirs)
    return Contest(
        lambda: value_iteration(lake.P, lake.R, GAMMA, TOLERANCE),
        lambda: by_dictionary(table, lake.states, lake.actions),
        sweeps * lake.states,
        "states/s",
        aim=5.0,
    )


@row("planning.states", threads=(1,))
def against_states(quick):
    """A random world of 20 or 300 states that goes on for ever: one product per sweep against one per state."""
    world = random_mdp(20 if quick else 300, 4, 3, numpy_rng(0, "bench"))
    paid = (world.P * world.R).sum(-1)
    theirs, sweeps = by_state(world.P, paid)
    alike(value_iteration(world.P, paid, GAMMA, TOLERANCE)[0], theirs)
    return Contest(
        lambda: value_iteration(world.P, paid, GAMMA, TOLERANCE),
        lambda: by_state(world.P, paid),
        sweeps * world.states,
        "states/s",
        aim=3.0,
    )
