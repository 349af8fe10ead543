r"""Bandits: reinforcement learning with a single state, where only exploration is left.

A bandit has A arms; pulling one pays a random reward with a mean nobody knows. What a rule of play loses is counted as
pseudo-regret, $R_T=\sum_t(\mu^*-\mu_{a_t})$: the best mean minus the mean of the arm pulled, so that luck with single
rewards does not count. Every rule is one function that scores all arms from what has been seen; the arm with the
highest score is pulled, ties are broken by lot. One loop plays N independent seeds at once. Rewards may be seen later
than they are earned: a function says how many of the first rewards are known at step t.
Left out: rewards that an opponent chooses, means that drift, delays that are random.

Shapes: N seeds, A arms, T steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Bandit:
    """Arms with fixed means (A,): Bernoulli, paying 0 or 1, when sd is None, else Gaussian with that deviation."""

    means: np.ndarray
    sd: float | None = None

    def __post_init__(self):
        means = np.asarray(self.means, dtype=float)
        object.__setattr__(self, "means", means)
        if means.ndim != 1 or len(means) < 2 or not np.isfinite(means).all():
            raise ValueError(f"a bandit needs two or more finite means in one list, got {self.means!r}: [0.5, 0.6]")
        if self.sd is None and not ((means >= 0) & (means <= 1)).all():
            raise ValueError(f"means of 0/1 rewards lie between 0 and 1, got {means}: give an sd for Gaussian arms")
        if self.sd is not None and not self.sd > 0:
            raise ValueError(f"sd of Gaussian arms must be above zero, got {self.sd}: leave it out for 0/1 rewards")

    @property
    def gaps(self):
        r"""$\Delta_a=\mu^*-\mu_a$, what one pull of each arm costs.  (A,)"""
        return self.means.max() - self.means

    def pull(self, arms, random):
        """One reward for each arm pulled.  (N,) -> (N,)"""
        if self.sd is None:
            return (random.random(len(arms)) < self.means[arms]).astype(float)
        return random.normal(self.means[arms], self.sd)


@dataclass
class History:
    """What a rule may look at, for all seeds at once: arrays (N, A) and the number of the step, counted from 1."""

    pulls: np.ndarray  # rewards seen of each arm
    sums: np.ndarray  # their sum
    chosen: np.ndarray  # pulls made, those included whose reward is still on its way
    t: int = 1

    def means(self, unseen=np.inf):
        """The mean reward seen of each arm; `unseen` where there is none.  (N, A)"""
        return np.where(self.pulls > 0, self.sums / np.maximum(self.pulls, 1), unseen)


@dataclass(frozen=True)
class Plays:
    """What happened: the arm pulled and the reward, (T, N) each."""

    arms: np.ndarray
    rewards: np.ndarray


def at_once(t):
    """At step t, counted from 1, the rewards of all t - 1 steps before it are known."""
    return t - 1


def late(delay):
    """Each reward is seen `delay` steps later than it would be at once."""
    return lambda t: max(0, t - 1 - _count("delay", delay, 0))


def in_batches(size):
    """Rewards are kept back and handed over together after every `size` steps, like a report once a day."""
    return lambda t: (t - 1) // _count("size", size, 1) * size


def play(bandit, rule: Callable, steps, seeds, random, known: Callable = at_once):
    """N seeds of T steps, rule(history, random) -> scores (N, A).  known: t -> number of rewards seen by then"""
    steps, seeds, arms = _count("steps", steps, 1), _count("seeds", seeds, 1), len(bandit.means)
    plays = Plays(np.zeros((steps, seeds), int), np.zeros((steps, seeds)))
    history, everyone, seen = History(*np.zeros((3, seeds, arms))), np.arange(seeds), 0
    for t in range(1, steps + 1):
        for past in range(seen, known(t)):
            history.pulls[everyone, plays.arms[past]] += 1
            history.sums[everyone, plays.arms[past]] += plays.rewards[past]
        history.t, seen = t, max(seen, known(t))
        arm = highest(rule(history, random), random)
        plays.arms[t - 1], plays.rewards[t - 1] = arm, bandit.pull(arm, random)
        history.chosen[everyone, arm] += 1
    return plays


def highest(scores, random):
    """The position of each row's highest score, by lot among equals.  (N, A) -> (N,)"""
    best = scores == scores.max(1, keepdims=True)
    return (best * (1 + random.random(scores.shape))).argmax(1)


def regret(means, arms):
    r"""$R_t=\sum_{u\le t}(\mu^*-\mu_{a_u})$, the pseudo-regret so far.  means (A,), arms pulled (T, N) -> (T, N)"""
    return (means.max() - means)[arms].cumsum(0)


def bernoulli_kl(p, q):
    r"""$\mathrm{kl}(p,q)=p\ln\frac pq+(1-p)\ln\frac{1-p}{1-q}$, $0\ln0=0$; infinite where q excludes what p does."""
    p, q = np.broadcast_arrays(np.asarray(p, dtype=float), np.asarray(q, dtype=float))
    if not ((p >= 0) & (p <= 1) & (q >= 0) & (q <= 1)).all():
        raise ValueError(f"kl compares two chances between 0 and 1, got p={p} and q={q}: give means of 0/1 rewards")
    return _part(p, q) + _part(1 - p, 1 - q)


def _part(p, q):
    ratio = np.divide(p, q, out=np.full(p.shape, np.inf), where=q > 0)
    return np.where(p > 0, p * np.log(np.where(p > 0, ratio, 1.0)), 0.0)


def lai_robbins(bandit):
    r"""$\sum_{a:\Delta_a>0}\Delta_a/\mathrm{KL}(\mu_a,\mu^*)$: regret per $\ln T$ in the long run, at least."""
    worse, best = bandit.means[bandit.gaps > 0], bandit.means.max()
    kl = bernoulli_kl(worse, best) if bandit.sd is None else (best - worse) ** 2 / (2 * bandit.sd**2)
    return float(((best - worse) / kl).sum())


def _count(name, value, least):
    if isinstance(value, bool) or value != int(value) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, got {value!r}: count steps or seeds")
    return int(value)
