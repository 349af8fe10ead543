r"""Recommending a list: SlateQ, which values lists by the items in them.

A slate shows k items; the user picks one of them or nothing, called the null item, with chances in proportion to appeal
(a conditional logit). What follows, pay and next state, depends on what was picked and not on what else was shown. Then
the value of a slate is a mean of item values, $Q(s,A)=\sum_{i\in A}P(i|s,A)\,Q(s,i)$ with the null item among them (Ie
et al. 2019, arXiv:1905.12767): I item values instead of one for each of the I-choose-k slates. The best slate maximises
a fraction, the mean of values weighed by appeal; Dinkelbach's method (1967) finds it by sorting a few times.
Left out: slots whose order matters, users who pick several or tire of what they are merely shown, a fitted choice.

Shapes: S states, I items and the null item as entry I, k slots, C slates.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from llmrl.rl.mdp import MDP, distribution


@dataclass(frozen=True)
class User:
    """appeal and pay of a pick (S, I+1), leads (S, I+1, S) to the next state, terminal (S,).  The null item is last"""

    appeal: np.ndarray
    pay: np.ndarray
    leads: np.ndarray
    terminal: np.ndarray

    def __post_init__(self):
        states, items = self.appeal.shape
        if self.pay.shape != (states, items) or self.leads.shape != (states, items, states):
            shapes = self.appeal.shape, self.pay.shape, self.leads.shape
            raise ValueError(f"a user needs appeal (S, I+1), pay (S, I+1) and leads (S, I+1, S), got {shapes}")
        if not (self.appeal > 0).all():
            raise ValueError(f"appeal must be above zero, got {self.appeal.min():g}: it is e to the power of a utility")
        distribution(self.leads, "rows of leads", "leads[s, i]")

    @property
    def items(self):
        """The number of items, the null item not counted."""
        return self.appeal.shape[1] - 1


def reader(bait=4, good=4, moods=3, effect=0.4):
    """A small user: moods 0 (annoyed) to moods - 1 (content), and one more state, gone.  Every pick pays 1 click.

    Bait is picked more readily and lowers the mood, good items raise it; the lower the mood, the sooner the user goes.
    effect: the chance that a pick moves the mood. 0 is the control in which nothing shown matters later.
    """
    if bait < 1 or good < 1 or moods < 2 or not 0 <= effect <= 1:
        raise ValueError(
            f"bait and good are 1 or more, moods 2 or more, effect a chance, got {bait, good, moods, effect}"
        )
    items, states = bait + good, moods + 1
    appeal = np.concatenate([np.linspace(2.0, 3.0, bait), np.linspace(0.5, 1.5, good), [1.0]])
    leaves = np.append(np.linspace(0.5, 0.1, moods), 1.0)  # by mood; gone stays gone
    leads = np.zeros((states, items + 1, states))
    for mood in range(moods):
        for item in range(items + 1):
            way = 0 if item == items else -1 if item < bait else 1
            moved = min(max(mood + way, 0), moods - 1)
            leads[mood, item, mood] += (1 - effect) * (1 - leaves[mood])
            leads[mood, item, moved] += effect * (1 - leaves[mood])
    leads[:, :, moods] = leaves[:, None]
    pay = np.ones((states, items + 1))
    pay[moods], pay[:, items] = 0.0, 0.0
    return User(np.tile(appeal, (states, 1)), pay, leads, np.arange(states) == moods)


def choice_probabilities(appeal, null):
    r"""$P(i|A)=v_i/(v_\varnothing+\sum_{j\in A}v_j)$, the null item last.  appeal (..., k), null (...) -> (..., k+1)"""
    appeal = np.concatenate([appeal, np.broadcast_to(null, appeal.shape[:-1])[..., None]], -1)
    return appeal / appeal.sum(-1, keepdims=True)


def every_slate(items, k):
    """All slates of k of the items.  -> (C, k), C = items choose k"""
    if not 1 <= k <= items:
        raise ValueError(f"a slate holds 1 to {items} of {items} items, got k={k}")
    return np.array(list(combinations(range(items), k)))


def with_null(slates, items):
    """Slates with the null item as one more entry.  (..., k) -> (..., k+1)"""
    return np.concatenate([slates, np.full((*slates.shape[:-1], 1), items)], -1)


def slate_values(appeal, q, slates):
    r"""$Q(A)=\sum_iP(i|A)\,Q(i)$ for given slates.  appeal, q (..., I+1), slates (..., k) -> (...)"""
    shown = with_null(slates, appeal.shape[-1] - 1)
    v, values = (np.take_along_axis(x, shown, -1) for x in (appeal, q))
    return (v * values).sum(-1) / v.sum(-1)


def item_values(user, values, gamma):
    r"""$Q(s,i)=r(s,i)+\gamma\sum_{s'}P(s'|s,i)\,V(s')$, of the null item too.  values (S,) -> (S, I+1)"""
    return user.pay + gamma * user.leads @ values


def slate_world(user, slates):
    """The user as an MDP whose actions are slates: the exact answer while all slates can be listed.  slates (C, k)"""
    shown = with_null(slates, user.items)  # (C, k+1)
    v = user.appeal[:, shown]  # (S, C, k+1)
    picks = v / v.sum(-1, keepdims=True)
    P = np.einsum("sck,sckt->sct", picks, user.leads[:, shown])
    return MDP.checked(P, (picks * user.pay[:, shown]).sum(-1), None, user.terminal)


def best_slate(appeal, q, k):
    r"""The k items whose slate is worth most: guess the worth $\lambda$, take the largest $v_i(Q_i-\lambda)$, repeat.

    appeal, q (..., I+1) -> (..., k).  Each round's slate is worth more than the last one's, or it is the best.
    """
    if not 1 <= k < appeal.shape[-1]:
        raise ValueError(f"a slate holds 1 to {appeal.shape[-1] - 1} items besides the null item, got k={k}")
    slates = top_slate(appeal, q, k)
    while True:
        worth = slate_values(appeal, q, slates)[..., None]
        found = _largest(appeal * (q - worth), k)
        better = slate_values(appeal, q, found)[..., None] > worth + 1e-12
        if not better.any():
            return slates
        slates = np.where(better, found, slates)


def top_slate(appeal, q, k):
    """A shortcut: the k items with the largest appeal times value.  (..., I+1) -> (..., k)"""
    return _largest(appeal * q, k)


def best_policy(user, k, gamma, tolerance=1e-10):
    """The best slate of every state without listing slates: value iteration on item values.  -> values (S,), (S, k)

    gamma = 1 is fine for a user who always leaves some day.
    """
    _discount(user, gamma)
    values = np.zeros(len(user.appeal))
    while True:
        q = item_values(user, values, gamma)
        slates = best_slate(user.appeal, q, k)
        old, values = values, slate_values(user.appeal, q, slates)
        if np.abs(values - old).max() <= tolerance:
            return values, slates


def follow(user, slates, gamma):
    """What a slate for each state is worth, exactly, by solving.  slates (..., S, k) -> values (..., S)"""
    _discount(user, gamma)
    shown = with_null(slates, user.items)  # (..., S, k+1)
    states = np.arange(len(user.appeal))[:, None]
    v = user.appeal[states, shown]
    picks = v / v.sum(-1, keepdims=True)
    to = np.einsum("...sk,...skt->...st", picks, user.leads[states, shown])
    to, pay = to * ~user.terminal[:, None], (picks * user.pay[states, shown]).sum(-1)
    return np.linalg.solve(np.eye(to.shape[-1]) - gamma * to, pay[..., None])[..., 0]


def _discount(user, gamma):
    if not 0 <= gamma <= 1 or (gamma == 1 and not user.terminal.any()):
        raise ValueError(f"gamma must lie in [0, 1), or be 1 where the user leaves some day; got {gamma}")


def _largest(score, k):
    """The k items with the largest score; the null item, which is last, does not count.  (..., I+1) -> (..., k)"""
    return np.sort(np.argsort(-score[..., :-1], axis=-1, kind="stable")[..., :k], axis=-1)
