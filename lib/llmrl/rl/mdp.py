r"""A Markov decision process, written down completely.

Four arrays say everything: where each action leads, what each step pays, where an episode starts and which states end
it. A world that is written down can be solved exactly, and it can be played by any number of players at once, so every
method of this chapter is measured against the truth. A terminal state loops onto itself and pays nothing: its value is
0 without a special case. A time limit is no part of the process: it cuts an episode, it does not end the world.
Left out: rewards that are random for a given (s, a, s'): their mean is kept; continuous states.

Shapes: S states, A actions, N players or environments.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True, eq=False)
class MDP:
    """P[s, a, s'] probabilities, R[s, a, s'] rewards, start[s] probabilities, terminal[s].  Built by MDP.checked"""

    P: np.ndarray  # (S, A, S)
    R: np.ndarray  # (S, A, S)
    start: np.ndarray  # (S,)
    terminal: np.ndarray  # (S,) bool

    @classmethod
    def checked(cls, P, R, start=None, terminal=None):
        """An MDP whose arrays obey the rules.  R (S, A, S) or (S, A); start (S,), or one state, or any non-terminal one

        Rows of terminal states have to loop onto themselves and pay nothing: absorbing(P, R, terminal) makes them so.
        """
        P, R = tables(P, R)
        states = len(P)
        terminal = np.zeros(states, bool) if terminal is None else np.array(terminal, dtype=bool)
        if terminal.shape != (states,):
            raise ValueError(f"terminal must hold one True or False per state, ({states},), got {terminal.shape}")
        ends = P[terminal][:, :, terminal].diagonal(0, 0, 2)  # (A, K): chance that a terminal state keeps its place
        if (ends < 1 - 1e-8).any() or (R[terminal] * P[terminal]).any():
            bad = np.flatnonzero(terminal).tolist()
            raise ValueError(
                f"terminal states must loop onto themselves with reward 0, and one of {bad} does not: "
                f"pass absorbing(P, R, terminal) instead of P, R"
            )
        made = cls(P, R, _start(start, terminal), terminal)
        for array in (made.P, made.R, made.start, made.terminal):
            array.setflags(write=False)
        return made

    @property
    def states(self):
        return self.P.shape[0]

    @property
    def actions(self):
        return self.P.shape[1]

    @cached_property
    def branches(self):
        """The states an action may lead to (S, A, K), and the running sums of their chances (S, A, K)."""
        most = (self.P > 0).sum(-1).max()
        after = np.argsort(self.P <= 0, axis=-1, kind="stable")[..., :most]
        return after, cumulate(np.take_along_axis(self.P, after, -1))


def tables(P, R):
    """P and R as float64 arrays (S, A, S), or an error that says which rule they break.  R (S, A, S) or (S, A)"""
    P, R = np.array(P, dtype=float), np.array(R, dtype=float)
    if P.ndim != 3 or P.shape[0] != P.shape[2] or not P.size:
        raise ValueError(f"P must be (S, A, S), one row of next-state chances per state and action, got {P.shape}")
    if R.shape not in (P.shape, P.shape[:2]):
        raise ValueError(f"R must be (S, A, S) or (S, A) = {P.shape[:2]}, got {R.shape}")
    if not np.isfinite(R).all():
        raise ValueError(f"rewards must be finite, got {R[~np.isfinite(R)][0]}")
    R = np.broadcast_to(R[..., None], P.shape).copy() if R.ndim == 2 else R
    distribution(P, "rows of P", "P[s, a]")
    return P, R


def distribution(rows, what, place="row"):
    """The rows, when each is a probability distribution: no entry negative, the sum 1.  rows (..., K)"""
    rows = np.asarray(rows, dtype=float)
    if not (rows >= 0).all():  # nan is not >= 0 either
        raise ValueError(f"{what} must not be negative, got {rows[~(rows >= 0)][0]:g}: they are probabilities")
    sums = rows.sum(-1)
    wrong = np.abs(sums - 1) > 1e-8
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"{place} at {at if len(at) > 1 else at[0]}" if at else place
        raise ValueError(f"{what} must sum to one, and {where} sums to {sums[at]:g}: divide it by its sum")
    return rows


def _start(start, terminal):
    """The start distribution (S,): given, or sure to be one state, or any state that is not terminal."""
    states = len(terminal)
    if start is None:
        live = ~terminal if not terminal.all() else np.ones(states, bool)
        return live / live.sum()
    if np.ndim(start) == 0:
        if not 0 <= start < states:
            raise ValueError(f"start must be a state from 0 to {states - 1}, got {start}")
        return np.eye(states)[int(start)]
    if np.shape(start) != (states,):
        raise ValueError(f"start must be one state or ({states},) probabilities, got {np.shape(start)}")
    return distribution(np.array(start, dtype=float), "start", "it")


def absorbing(P, R, terminal):
    """Copies of P and R (S, A, S) in which the terminal states loop onto themselves and pay nothing."""
    P, R = np.array(P, dtype=float), np.array(R, dtype=float)
    ends = np.flatnonzero(terminal)
    P[ends], R[ends] = 0.0, 0.0
    P[ends, :, ends] = 1.0
    return P, R


def reward(mdp):
    """(S, A): the mean reward of an action, over where it may lead."""
    return (mdp.P * mdp.R).sum(-1)


def probabilities(policy, actions):
    """A policy as chances (S, A).  policy (S, A), or one action per state (S,)"""
    policy = np.asarray(policy)
    if policy.ndim == 1 and np.issubdtype(policy.dtype, np.integer):
        if policy.min(initial=0) < 0 or policy.max(initial=0) >= actions:
            raise ValueError(f"actions must lie in 0 to {actions - 1}, got {policy.min()} to {policy.max()}")
        return np.eye(actions)[policy]
    if policy.ndim != 2 or policy.shape[1] != actions:
        raise ValueError(f"a policy must be (S, {actions}) chances or (S,) whole actions, got {policy.shape}")
    return distribution(policy, "a policy's rows", "the row")


def chain(mdp, policy):
    """The Markov chain a policy makes of an MDP: P_pi (S, S) and the mean reward of a step r_pi (S,).  policy (S, A)"""
    policy = probabilities(policy, mdp.actions)
    return np.einsum("sa,sat->st", policy, mdp.P), (policy * reward(mdp)).sum(-1)


def cumulate(rows):
    """Running sums of chances, scaled so that the last is exactly 1.  rows (..., K)"""
    sums = rows.cumsum(-1)
    return sums / sums[..., -1:]


def draw(rows, random):
    """One index per row of chances, drawn by inverting the cumulative sum.  rows (N, K), random a Generator -> (N,)"""
    return invert(cumulate(rows), random)


def invert(cumulative, random):
    """One index per row: where a uniform number falls among the running sums.  cumulative (N, K) -> (N,)"""
    return (random.random(len(cumulative))[:, None] >= cumulative).sum(-1)


def starts(mdp, players, random):
    """(N,) start states, one per player."""
    if not isinstance(players, (int, np.integer)) or players < 1:
        raise ValueError(f"the number of players must be a whole number of 1 or more, got {players!r}")
    return draw(np.broadcast_to(mdp.start, (players, mdp.states)), random)


def step(mdp, states, actions, random):
    """One step of N players at once: next states (N,), rewards (N,), terminated (N,).  states, actions (N,) whole

    A player in a terminal state stays there, is paid nothing and stays terminated.
    """
    states, actions = np.asarray(states), np.asarray(actions)
    for name, given, limit in (("states", states, mdp.states), ("actions", actions, mdp.actions)):
        if given.shape != states.shape or given.ndim != 1 or not np.issubdtype(given.dtype, np.integer):
            raise ValueError(f"{name} must be (N,) whole numbers, got {given.shape} of {given.dtype}")
        if given.min(initial=0) < 0 or given.max(initial=0) >= limit:
            raise ValueError(f"{name} must lie in 0 to {limit - 1}, got {given.min()} to {given.max()}")
    leads, cumulative = mdp.branches
    after = leads[states, actions, invert(cumulative[states, actions], random)]
    return after, mdp.R[states, actions, after], mdp.terminal[after]


def reachable(P, start):
    """(S,) bool: the states that some choice of actions reaches from the start.  P (S, A, S), start (S,) chances"""
    leads = P.max(1) > 0  # (S, S)
    reached = np.asarray(start) > 0
    while (grown := reached | leads[reached].any(0)).sum() > reached.sum():
        reached = grown
    return reached


def from_gymnasium(env):
    """The MDP of a toy-text environment of Gymnasium, read from its table env.unwrapped.P.  Its time limit stays out.

    States that are entered with terminated=True become terminal: they loop onto themselves and pay nothing.
    """
    states, actions = _sizes(env)
    world = env.unwrapped
    P, paid, ends = (np.zeros((states, actions, states)) for _ in range(3))
    for s in range(states):
        for a in range(actions):
            for chance, after, pays, terminated in world.P[s][a]:
                P[s, a, after] += chance
                paid[s, a, after] += chance * pays
                ends[s, a, after] += chance * terminated
    start = np.asarray(world.initial_state_distrib, dtype=float)
    terminal = ends.any((0, 1))
    R = np.divide(paid, P, out=np.zeros_like(P), where=P > 0)
    P, R = absorbing(P, R, terminal)
    live = reachable(P, start) & ~terminal
    if (np.abs(P - ends)[live][:, :, terminal] > 1e-9).any():
        raise ValueError("a state is entered both with terminated=True and without: whether it ends must depend on it")
    return MDP.checked(P, R, start, terminal)


def _sizes(env):
    """The numbers of states and actions of an environment that can be written down as a table."""
    from gymnasium.spaces import Discrete

    for space in (env.observation_space, env.action_space):
        if not isinstance(space, Discrete) or space.start != 0:
            raise ValueError(
                f"a table needs two spaces Discrete(n) that start at 0, got {env.observation_space} and "
                f"{env.action_space}: FrozenLake-v1 and CliffWalking-v1 have them"
            )
    if not hasattr(env.unwrapped, "P"):
        raise ValueError(f"{env} keeps no table P of its transitions: only Gymnasium's toy-text environments do")
    return int(env.observation_space.n), int(env.action_space.n)
