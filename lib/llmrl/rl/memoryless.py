r"""Policies that see less than the state and remember nothing.

An observation is what a state looks like. Where two states look alike, a policy that acts on what it sees has to treat
them alike, and then dice may be worth more than any rule (Singh, Jaakkola and Jordan 1994). Policies without dice can
be counted: one action for each observation. Their values are exact, since each of them is also a policy of states.
Left out: memory, which can do better than both; beliefs about where one is.

Shapes: S states, O observations, A actions.
"""

from itertools import product

import numpy as np

from llmrl.rl.planning import policy_evaluation


def by_state(policy, observation):
    """A policy of observations as one of states: alike acts alike.  (O, A) or (O,), (S,) -> (S, A) or (S,)"""
    policy, observation = np.asarray(policy), np.asarray(observation)
    if observation.ndim != 1 or observation.min() < 0 or observation.max() >= len(policy):
        raise ValueError(
            f"observation must be (S,) whole numbers from 0 to {len(policy) - 1}, one row of the policy each, got "
            f"{observation!r}"
        )
    return policy[observation]


def start_value(mdp, policy, observation, gamma):
    """What a policy of observations is worth when an episode starts, exactly."""
    return float(mdp.start @ policy_evaluation(mdp.P, mdp.R, by_state(policy, observation), gamma))


def without_dice(mdp, observation, gamma, most=100_000):
    """Every policy that takes one action per observation, and its worth: actions (K, O), values (K,), K = A^O

    Observations that only terminal states give are left at action 0: nothing is done there.
    """
    observation = np.asarray(observation)
    seen = np.unique(observation[~mdp.terminal])
    count = mdp.actions ** len(seen)
    if count > most:
        raise ValueError(f"there are {mdp.actions}^{len(seen)} = {count:,} such policies, {most:,} at most are tried")
    actions = np.zeros((count, observation.max() + 1), int)
    actions[:, seen] = list(product(range(mdp.actions), repeat=len(seen)))
    return actions, np.array([start_value(mdp, policy, observation, gamma) for policy in actions])
