r"""The small worlds of the chapter on reinforcement learning, each written down as an MDP.

Grids, a cliff, a random walk, a loop of two states, a chain whose reward lies at its far end, a corridor in which
states look alike, and a choice that maximisation gets wrong. TabularEnv lets anybody who speaks Gymnasium play them,
with a time limit that truncates and never terminates.
Left out: continuous worlds, and worlds too large for a table.

Actions on grids: 0 left, 1 down, 2 right, 3 up, as in FrozenLake; on the cliff 0 up, 1 right, 2 down, 3 left, as in
CliffWalking. States of a grid are numbered row by row.
"""

import gymnasium
import numpy as np
from gymnasium.spaces import Discrete

from llmrl.rl.mdp import MDP, absorbing, step

LAKE = ("SFFF", "FHFH", "FFFH", "HFFG")  # FrozenLake-v1's map
MOVES = ((0, -1), (1, 0), (0, 1), (-1, 0))  # left, down, right, up: (row, column)


def gridworld(rows, pays=None, cost=0.0, slip=0.0):
    """A grid drawn as text: S start, # wall, G and H end the episode, everything else is free.  -> MDP

    pays: reward for entering a letter, {"G": 1.0} when not given; cost: taken from the reward of every step;
    slip: the chance of moving to the left of where one meant to go, and the same again for the right.
    """
    rows = tuple(rows)
    if not rows or len({len(row) for row in rows}) != 1 or "S" not in "".join(rows):
        raise ValueError(f"a grid needs rows of one length and at least one S to start from, got {rows}")
    if not 0 <= slip <= 0.5:
        raise ValueError(f"slip is the chance of each side and must lie in 0 to 0.5, got {slip}")
    letters = np.array([list(row) for row in rows])
    worth = np.vectorize(lambda letter: (pays or {"G": 1.0}).get(letter, 0.0), otypes=[float])(letters).ravel()
    ends = np.isin(letters, ("G", "H", "#")).ravel()
    exact = _moves(letters)  # (S, 4, S)
    P = (1 - 2 * slip) * exact + slip * np.roll(exact, 1, 1) + slip * np.roll(exact, -1, 1)
    R = np.broadcast_to(worth - cost, P.shape)
    start = (letters == "S").ravel()
    return MDP.checked(*absorbing(P, R, ends), start / start.sum(), ends)


def _moves(letters):
    """(S, 4, S): where each move leads; walls and the rim hold one back."""
    rows, columns = letters.shape
    P = np.zeros((rows * columns, 4, rows * columns))
    for r, c in np.ndindex(rows, columns):
        for a, (down, right) in enumerate(MOVES):
            to = (min(max(r + down, 0), rows - 1), min(max(c + right, 0), columns - 1))
            r2, c2 = (r, c) if letters[to] == "#" else to
            P[r * columns + c, a, r2 * columns + c2] = 1.0
    return P


def frozen_lake(slippery=True, rows=LAKE):
    """FrozenLake-v1: a goal that pays 1, holes that end the episode, ice that turns two steps in three aside."""
    return gridworld(rows, slip=1 / 3 if slippery else 0.0)


def cliff(rows=4, columns=12):
    """CliffWalking-v1: every step costs 1, the cliff between start and goal costs 100 and leads back to the start."""
    if rows < 2 or columns < 3:
        raise ValueError(f"a cliff needs 2 or more rows and 3 or more columns, got {rows} x {columns}")
    P = _moves(np.full((rows, columns), "."))[:, [3, 2, 1, 0]]  # up, right, down, left
    R = np.full(P.shape, -1.0)
    start, goal = (rows - 1) * columns, rows * columns - 1
    edge = np.arange(start + 1, goal)
    states, actions, cells = np.nonzero(P[:, :, edge])
    P[states, actions, edge[cells]] = 0.0
    P[states, actions, start] = 1.0
    R[states, actions, start] = -100.0
    ends = np.arange(rows * columns) == goal
    return MDP.checked(*absorbing(P, R, ends), start, ends)


def random_walk(n=19, left=-1.0, right=1.0):
    """n states in a row with an end on either side; action 0 goes left, 1 right; only the ends pay.  States 0 to n+1"""
    if n < 1:
        raise ValueError(f"a walk needs 1 or more states between its ends, got {n}")
    P = np.zeros((n + 2, 2, n + 2))
    inner = np.arange(1, n + 1)
    P[inner, 0, inner - 1] = P[inner, 1, inner + 1] = 1.0
    R = np.zeros_like(P)
    R[1, 0, 0], R[n, 1, n + 1] = left, right
    ends = np.isin(np.arange(n + 2), (0, n + 1))
    return MDP.checked(*absorbing(P, R, ends), (n + 1) // 2, ends)


def two_state_loop():
    """Two states that lead to each other for ever; leaving the first pays 1, leaving the second nothing."""
    return MDP.checked([[[0.0, 1.0]], [[1.0, 0.0]]], [[1.0], [0.0]], 0)


def sparse_chain(n=10):
    """n states in a row: action 1 goes right and action 0 back to the start; only the end, behind the last, pays 1."""
    if n < 1:
        raise ValueError(f"a chain needs 1 or more states before its end, got {n}")
    P = np.zeros((n + 1, 2, n + 1))
    P[:n, 0, 0] = 1.0
    P[np.arange(n), 1, np.arange(1, n + 1)] = 1.0
    R = np.zeros_like(P)
    R[n - 1, 1, n] = 1.0
    ends = np.arange(n + 1) == n
    return MDP.checked(*absorbing(P, R, ends), 0, ends)


def aliased_corridor():
    """Three states that look alike, then the goal; in the middle one left and right are exchanged; a step costs 1.

    -> MDP (actions 0 left, 1 right), observation (S,): what each state looks like (Sutton and Barto, example 13.1)
    """
    P = np.zeros((4, 2, 4))
    for s, left, right in ((0, 0, 1), (1, 2, 0), (2, 1, 3)):
        P[s, 0, left] = P[s, 1, right] = 1.0
    ends = np.arange(4) == 3
    return MDP.checked(*absorbing(P, np.full((4, 2, 4), -1.0), ends), 0, ends), np.array([0, 0, 0, 1])


def maximisation_bias(actions=10, mean=-0.1, spread=1.0):
    """From state 0, action 0 leads to state 1 and every other action ends with 0; from 1 each ends with mean +- spread.

    The two outcomes are equally likely, so state 1 is worth `mean`, and one lucky draw makes it look better.
    """
    if actions < 2:
        raise ValueError(f"a choice needs 2 or more actions, got {actions}")
    P, R = np.zeros((4, actions, 4)), np.zeros((4, actions, 4))
    P[0, 0, 1] = 1.0
    P[0, 1:, 2] = 1.0
    P[1, :, 2:] = 0.5
    R[1, :, 2], R[1, :, 3] = mean + spread, mean - spread
    ends = np.arange(4) >= 2
    return MDP.checked(*absorbing(P, R, ends), 0, ends)


def twin_choices():
    """One choice asked twice: action 1 pays 1 in state 0; in state 2, two steps later, it costs 2.5 and brings 3 later.

    Action 0 pays nothing in either. States 1, 3 and 4 only wait. Whoever cannot tell 0 from 2 answers both alike.
    """
    P, R = np.zeros((6, 2, 6)), np.zeros((6, 2, 6))
    for s, after in ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5)):
        P[s, :, after] = 1.0
    P[2, 0] = np.eye(6)[5]
    R[0, 1, 1], R[2, 1, 3], R[4, :, 5] = 1.0, -2.5, 3.0
    ends = np.arange(6) == 5
    return MDP.checked(*absorbing(P, R, ends), 0, ends)


def random_mdp(states, actions, branches, random):
    """A world drawn at random: each action leads to `branches` states with random chances and pays between 0 and 1.

    It goes on for ever. Such worlds are known as Garnet problems (Archibald, McKinnon and Thomas, 1995).
    """
    if not 1 <= branches <= states:
        raise ValueError(f"an action leads to 1 to {states} states, got branches={branches}")
    P = np.zeros((states, actions, states))
    for row in P.reshape(-1, states):
        row[random.permutation(states)[:branches]] = random.dirichlet(np.ones(branches))
    return MDP.checked(P, random.random((states, actions)))


class TabularEnv(gymnasium.Env):
    """An MDP as a Gymnasium environment.  max_steps: the time limit, after which an episode is truncated; None: none"""

    metadata = {"render_modes": []}

    def __init__(self, mdp, max_steps=None):
        if max_steps is not None and max_steps < 1:
            raise ValueError(f"max_steps must be 1 or more, or None for no limit, got {max_steps}")
        self.mdp, self.max_steps = mdp, max_steps
        self.observation_space, self.action_space = Discrete(mdp.states), Discrete(mdp.actions)
        self.state, self.steps = None, 0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state, self.steps = int(self.np_random.choice(self.mdp.states, p=self.mdp.start)), 0
        return self.state, {}

    def step(self, action):
        if self.state is None:
            raise ValueError("the environment has no state yet: call reset() before step()")
        if not self.action_space.contains(action):
            raise ValueError(f"action must be a whole number from 0 to {self.mdp.actions - 1}, got {action!r}")
        after, paid, terminated = step(self.mdp, [self.state], [int(action)], self.np_random)
        self.state, self.steps = int(after[0]), self.steps + 1
        truncated = self.max_steps is not None and self.steps >= self.max_steps and not terminated[0]
        return self.state, float(paid[0]), bool(terminated[0]), bool(truncated), {}
