r"""Shaping: extra reward that shows the way, and the one form of it that cannot change where the way leads.

A reward that comes late is hard to find, so one is tempted to pay for what looks like progress. Whatever is paid is
also pursued: an agent that earns more by circling will circle. A potential is a number per state; paying its change,

$$F(s,s')=\gamma\,\Phi(s')-\Phi(s),$$

adds up along any episode to $-\Phi(s_0)$, whatever was done on the way. So every policy's value moves by the same
amount and the best policies stay the best (Ng, Harada and Russell 1999). Two details carry the proof: the gamma, and a
potential of 0 where the episode ends.
Left out: potentials of states and actions, or of time; learning the potential.

Shapes: S states, A actions, N steps.
"""

import numpy as np

from llmrl.rl.mdp import MDP, absorbing


def shaping_reward(potential, states, next_states, gamma):
    r"""$\gamma\,\Phi(s')-\Phi(s)$ for steps from s to s'.  potential (S,), states and next_states (...) -> (...)"""
    potential = np.asarray(potential, dtype=float)
    if not 0 <= gamma <= 1:
        raise ValueError(f"gamma must lie in [0, 1], got {gamma}: it has to be the discount of the returns")
    return gamma * potential[next_states] - potential[states]


def shaped(mdp, potential, gamma):
    """The world in which every step pays shaping_reward as well.  potential (S,), 0 at terminal states -> MDP"""
    potential = np.array(potential, dtype=float)
    if potential.shape != (mdp.states,) or not np.isfinite(potential).all():
        raise ValueError(f"a potential is one finite number per state, ({mdp.states},), got {potential!r}")
    wrong = np.flatnonzero(mdp.terminal & (potential != 0))
    if wrong.size:
        raise ValueError(
            f"the potential of terminal states must be 0, and that of state {wrong[0]} is {potential[wrong[0]]:g}: "
            f"otherwise the way an episode ends is paid for and the best policy may change"
        )
    every = np.arange(mdp.states)
    return with_bonus(mdp, shaping_reward(potential, every[:, None, None], every, gamma))


def with_bonus(mdp, bonus):
    """The world in which every step pays a bonus as well; ends pay nothing still.  bonus (S, A, S), or one that fits"""
    try:
        paid = mdp.R + np.broadcast_to(bonus, mdp.R.shape)
    except ValueError:
        raise ValueError(f"a bonus must fit {mdp.R.shape}, got {np.shape(bonus)}: bonus[s, a, s']") from None
    return MDP.checked(*absorbing(mdp.P, paid, mdp.terminal), mdp.start, mdp.terminal)
