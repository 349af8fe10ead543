r"""Learning what to recommend from clicks, and three learners that differ in what they keep a value for.

SlateQ keeps one value per state and item and updates that of the item picked, the null item included:
$Q(s,i)\leftarrow Q(s,i)+\alpha\,(r+\gamma(1-d)\max_A\sum_jP(j|s',A)Q(s',j)-Q(s,i))$, where d says that the user left.
With gamma = 0 the same lines learn the next click only, which is myopia. The flat learner is plain Q-learning with one
value for each of the C slates: nothing an item teaches on one slate is known on another. All show the best slate by
their values, with chance epsilon one by lot, to N users at once, one per seed; who leaves is followed by a new one.
With epsilon = 1 they learn from random slates, and given equal generators all learners see the same users do the same.
Left out: learning the appeal too (here it is known), SlateQ's on-policy variant, networks in place of tables.

Shapes: N seeds, S states, I items and the null item as entry I, k slots, C slates.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrl.rl.mdp import draw
from llmrl.rl.slates import best_slate, choice_probabilities, every_slate, slate_values


@dataclass(frozen=True)
class Course:
    """How a learner is taught: step size, discount, chance of a slate by lot, slots, first value of everything."""

    alpha: float = 0.1
    gamma: float = 1.0
    epsilon: float = 1.0
    k: int = 3
    start: float = 0.0

    def __post_init__(self):
        if not 0 < self.alpha <= 1 or not 0 <= self.gamma <= 1 or not 0 <= self.epsilon <= 1 or self.k < 1:
            raise ValueError(f"alpha, gamma and epsilon lie between 0 and 1, k is 1 or more; got {self}")


class ItemValues:
    """SlateQ's table q (N, S, I+1)."""

    def __init__(self, user, seeds, course):
        self.user, self.course, self.everyone = user, course, np.arange(seeds)
        self.q = np.where(user.terminal[:, None], 0.0, np.full(user.appeal.shape, course.start))
        self.q = np.tile(self.q, (seeds, 1, 1))

    def best(self, states):
        """The slate it believes best for each user, and its worth.  states (N,) -> (N, k), (N,)"""
        appeal, q = self.user.appeal[states], self.q[self.everyone, states]
        slates = best_slate(appeal, q, self.course.k)
        return slates, slate_values(appeal, q, slates)

    def learn(self, states, slates, picked, target):
        """Move the value of what was picked towards the target.  (N,), (N, k), (N,), (N,)"""
        place = self.everyone, states, picked
        self.q[place] += self.course.alpha * (target - self.q[place])

    def policy(self):
        """The slate shown in every state.  -> (N, S, k)"""
        return best_slate(np.broadcast_to(self.user.appeal, self.q.shape), self.q, self.course.k)


class SlateTable:
    """One value per state and slate, q (N, S, C); the same two methods."""

    def __init__(self, user, seeds, course):
        self.user, self.course, self.everyone = user, course, np.arange(seeds)
        self.slates = every_slate(user.items, course.k)
        self.place = {tuple(slate): c for c, slate in enumerate(self.slates.tolist())}
        self.q = np.where(user.terminal[:, None], 0.0, np.full((len(user.appeal), len(self.slates)), course.start))
        self.q = np.tile(self.q, (seeds, 1, 1))

    def best(self, states):
        """The slate it believes best for each user, and its worth.  states (N,) -> (N, k), (N,)"""
        q = self.q[self.everyone, states]
        return self.slates[q.argmax(1)], q.max(1)

    def learn(self, states, slates, picked, target):
        """Move the value of the whole slate towards the target.  (N,), (N, k), (N,), (N,)"""
        shown = [self.place[tuple(slate)] for slate in np.sort(slates, axis=1).tolist()]
        place = self.everyone, states, shown
        self.q[place] += self.course.alpha * (target - self.q[place])

    def policy(self):
        """The slate shown in every state.  -> (N, S, k)"""
        return self.slates[self.q.argmax(2)]


def visit(user, states, slates, random):
    """What N users do with N slates: picked (N,), pay (N,), next states (N,).  Item I is the null item"""
    rows = np.arange(len(states))[:, None]
    chances = choice_probabilities(user.appeal[states[:, None], slates], user.appeal[states, -1])
    place = draw(chances, random)  # k is the null item
    picked = np.concatenate([slates, np.full((len(states), 1), user.items)], 1)[rows[:, 0], place]
    return picked, user.pay[states, picked], draw(user.leads[states, picked], random)


def teach(user, learner: Callable, steps, seeds, random, course=None):
    """Teach N learners for so many slates each; yields them after each.  learner: ItemValues or SlateTable"""
    if steps < 1 or seeds < 1:
        raise ValueError(f"steps and seeds must be 1 or more, got {steps} and {seeds}: nothing would be learned")
    course = course or Course()
    taught, alive = learner(user, seeds, course), np.flatnonzero(~user.terminal)
    states = random.choice(alive, seeds)
    for _ in range(steps):
        lot = np.argsort(random.random((seeds, user.items)), 1)[:, : course.k]
        by_lot = random.random((seeds, 1)) < course.epsilon
        slates = lot if by_lot.all() else np.where(by_lot, lot, taught.best(states)[0])
        picked, pay, after = visit(user, states, slates, random)
        left = user.terminal[after]
        taught.learn(states, slates, picked, pay + course.gamma * np.where(left, 0.0, taught.best(after)[1]))
        states = np.where(left, random.choice(alive, seeds), after)
        yield taught
