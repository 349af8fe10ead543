r"""Control: learning what to do from one step at a time, with a table of action values.

Nobody knows the world's tables. One acts, mostly by the best action so far and sometimes at random, and moves
$Q(s,a)$ by a share alpha towards $r+\gamma\,(\text{what the next state is worth})$. What it is worth is the only thing
about which the methods differ: the best action's value (Q-learning, Watkins 1989), the value of the action that will
really be taken (SARSA, Rummery and Niranjan 1994), the mean over the actions that might be (expected SARSA), or the
value of the best action by another table's rating (double Q-learning, van Hasselt 2010). One loop runs them all, for N
seeds at once. A terminated step leaves nothing to come; a step cut by the time limit does.
Left out: several steps ahead; eligibility traces; tables too large to hold.

Shapes: N seeds, S states, A actions, M tables, E episodes, K moments.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrl.rl.mdp import cumulate, draw, invert, reward, starts, step
from llmrl.rl.planning import greedy
from llmrl.rl.td import td_target


def epsilon_chances(q, epsilon):
    r"""$(1-\varepsilon)\,[a\text{ best}]+\varepsilon/A$, ties shared.  q (..., A), epsilon (...) -> (..., A)"""
    epsilon = np.asarray(epsilon, dtype=float)
    if not ((epsilon >= 0) & (epsilon <= 1)).all():
        raise ValueError(f"epsilon must lie in [0, 1], got {epsilon}: it is the chance of acting at random")
    return (1 - epsilon[..., None]) * greedy(q) + epsilon[..., None] / q.shape[-1]


def q_learning_target(rewards, next_q, terminated, gamma):
    r"""$r+\gamma\max_{a'}Q(s',a')$: as if the best came next.  rewards (N,), next_q (N, A), terminated (N,) bool"""
    return td_target(rewards, next_q.max(-1), terminated, gamma)


def sarsa_target(rewards, next_q, drawn, terminated, gamma):
    r"""$r+\gamma\,Q(s',a')$ with the action that does come next.  drawn (N,) whole -> (N,)"""
    return td_target(rewards, np.take_along_axis(next_q, drawn[..., None], -1)[..., 0], terminated, gamma)


def expected_sarsa_target(rewards, next_q, chances, terminated, gamma):
    r"""$r+\gamma\sum_{a'}\pi(a'|s')\,Q(s',a')$: the mean over what may come next.  chances (N, A) -> (N,)"""
    return td_target(rewards, (chances * next_q).sum(-1), terminated, gamma)


def double_q_target(rewards, next_q, other, terminated, gamma):
    r"""$r+\gamma\,Q'(s',\arg\max_{a'}Q(s',a'))$: one table chooses, the other rates.  other (N, A) -> (N,)"""
    return td_target(rewards, (greedy(next_q) * other).sum(-1), terminated, gamma)


@dataclass(frozen=True)
class Method:
    """A target, what it reads beside the next state's values ("drawn", "chances", "other"), and how many tables."""

    target: Callable
    reads: tuple = ()
    tables: int = 1


Q_LEARNING = Method(q_learning_target)
SARSA = Method(sarsa_target, ("drawn",))
EXPECTED_SARSA = Method(expected_sarsa_target, ("chances",))
DOUBLE_Q = Method(double_q_target, ("other",), tables=2)


@dataclass(frozen=True)
class Settings:
    """The dials of one run."""

    gamma: float = 0.99
    alpha: float | Callable = 0.1  # step size, or a function of how often this entry was updated, now included: (N,)
    epsilon: float | Callable = 0.1  # or a function of the number of the episode, from 0: (N,) -> (N,)
    limit: int | None = None  # steps after which an episode is cut
    first: float = 0.0  # what every action is believed to be worth before anything is seen

    def __post_init__(self):
        if not 0 <= self.gamma <= 1:
            raise ValueError(f"gamma must lie in [0, 1], got {self.gamma}: it is the weight of a reward one step later")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit must be 1 step or more, or None for no limit, got {self.limit}")
        if not callable(self.alpha) and not 0 < self.alpha <= 1:
            raise ValueError(f"alpha must lie in (0, 1], got {self.alpha}: above 1 an update jumps past its target")


@dataclass(frozen=True, slots=True)
class Move:
    """One step of all seeds. The tables are the learner's own and change with the next step: copy what is to stay."""

    tables: np.ndarray  # (M, N, S, A)
    states: np.ndarray  # (N,)
    actions: np.ndarray  # (N,)
    episode: np.ndarray  # (N,) the number of the episode the step belongs to
    score: np.ndarray  # (N,) the sum of its rewards up to here, without any bonus
    length: np.ndarray  # (N,) its steps up to here
    over: np.ndarray  # (N,) it ended with this step, terminated or truncated
    truncated: np.ndarray  # (N,)


def learn(mdp, method, settings, random, seeds, bonus=None):
    """Act and learn, N independent seeds at once, without end: a Move per step, the caller stops.

    The next action is drawn before the update, since SARSA has to know it.  bonus(states, actions, after) -> (N,): an
    extra reward that only the learner sees.
    """
    tables, states = _begun(mdp, method, settings, seeds), starts(mdp, seeds, random)
    visits, seed = np.zeros(tables.shape, int), np.arange(seeds)
    episode, length, score = np.zeros(seeds, int), np.zeros(seeds, int), np.zeros(seeds)
    epsilon = _dial(settings.epsilon, episode)
    actions = draw(epsilon_chances(_rated(tables, seed, states), epsilon), random)
    while True:
        after, rewards, terminated = step(mdp, states, actions, random)
        length, score = length + 1, score + rewards
        truncated = ~terminated & (length >= settings.limit if settings.limit else False)
        extra = 0.0 if bonus is None else bonus(states, actions, after)
        chances = epsilon_chances(_rated(tables, seed, after), epsilon)
        drawn = invert(cumulate(chances), random)
        table = random.integers(method.tables, size=seeds) if method.tables > 1 else 0
        known = {"drawn": drawn, "chances": chances, "other": tables[-1 - table, seed, after]}
        reads = [known[name] for name in method.reads]
        target = method.target(rewards + extra, tables[table, seed, after], *reads, terminated, settings.gamma)
        place = table, seed, states, actions
        visits[place] += 1
        tables[place] += _dial(settings.alpha, visits[place]) * (target - tables[place])
        over = terminated | truncated
        yield Move(tables, states, actions, episode, score, length, over, truncated)
        states, actions = after, drawn
        if over.any():
            episode, length, score = episode + over, np.where(over, 0, length), np.where(over, 0.0, score)
            epsilon, new, states = _dial(settings.epsilon, episode), np.flatnonzero(over), states.copy()
            states[new] = starts(mdp, len(new), random)
            actions[new] = draw(epsilon_chances(_rated(tables, new, states[new]), epsilon[new]), random)


def _begun(mdp, method, settings, seeds):
    """The tables before anything is seen: the first value everywhere, 0 where the world has ended.  (M, N, S, A)"""
    if settings.gamma == 1 and not mdp.terminal.any():
        raise ValueError("gamma must lie in [0, 1) in a world without ends, got 1: its sums need not be finite")
    tables = np.full((method.tables, seeds, mdp.states, mdp.actions), float(settings.first))
    tables[:, :, mdp.terminal] = 0.0
    return tables


def _rated(tables, seed, states):
    """What the one who acts believes: the mean of the tables.  (M, N, S, A) -> (N, A)"""
    return tables[0, seed, states] if len(tables) == 1 else tables[:, seed, states].mean(0)


def _dial(dial, when):
    """A dial's setting for every seed: a constant, or a function of the counts `when` (N,)."""
    return dial(when) if callable(dial) else np.full(when.shape, dial)


def fading(start=1.0, factor=0.995, least=0.01):
    r"""Epsilon $\max(\varepsilon_{least},\varepsilon_0 f^e)$ in episode e, counted from 0.  -> a function of e (N,)"""
    if not 0 <= least <= start <= 1 or not 0 < factor <= 1:
        raise ValueError(
            f"epsilon falls from start to least within [0, 1] by a factor in (0, 1], got start {start}, least {least}, "
            f"factor {factor}"
        )
    return lambda episode: np.maximum(least, start * factor ** np.asarray(episode, dtype=float))


@dataclass(frozen=True)
class Course:
    """What a run of E episodes per seed looked like."""

    scores: np.ndarray  # (E, N) sums of rewards
    lengths: np.ndarray  # (E, N) steps
    q: np.ndarray  # (K, N, S, A) the mean of the tables right after the episodes asked for


def watch(moves, episodes, at=()):
    """Follow a run until every seed has played so many episodes.  at: after how many of them the tables are copied"""
    at = [int(count) for count in at] if len(at) else [episodes]
    if episodes < 1 or not all(1 <= e <= episodes for e in at):
        raise ValueError(f"episodes must be 1 or more and `at` within them, got {episodes} and {at}")
    asked, scores = np.isin(np.arange(1, episodes + 1), at), None
    for move in moves:
        if scores is None:
            scores, lengths = np.zeros((episodes, len(move.over))), np.zeros((episodes, len(move.over)), int)
            kept, left = np.zeros((len(at), *move.tables.shape[1:])), len(move.over) * episodes
        n = np.flatnonzero(move.over & (move.episode < episodes))
        e, left = move.episode[n], left - len(n)
        scores[e, n], lengths[e, n] = move.score[n], move.length[n]
        for k in np.flatnonzero(asked[e]):
            kept[at.index(e[k] + 1), n[k]] = move.tables[:, n[k]].mean(0)
        if not left:
            return Course(scores, lengths, kept)


def mean_score(mdp, policies, steps):
    """The exact mean sum of rewards of the first `steps` steps of an episode.  policies (..., S, A) chances -> (...)"""
    if steps < 1:
        raise ValueError(f"steps must be 1 or more, got {steps}: count the steps until the episode is cut")
    to, paid = np.einsum("...sa,sat->...st", policies, mdp.P), (policies * reward(mdp)).sum(-1)
    here, total = np.broadcast_to(mdp.start, paid.shape), 0.0
    for _ in range(steps):
        total = total + (here * paid).sum(-1)
        here = (here[..., None, :] @ to)[..., 0, :]
    return total
