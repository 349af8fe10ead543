r"""Softmax in one pass: a mixture of values whose weights are never all known at once.

$o=\sum_s e^{s_s-m}v_s$ and $l=\sum_s e^{s_s-m}$ with $m=\max_s s_s$ say all there is to say about scores already read:
the mixture is $o/l$, and no power is ever above 1. Two such states become one by bringing both to the larger maximum,
$l=l_ae^{m_a-m}+l_be^{m_b-m}$, and o likewise. That is associative and commutative, so scores may come in blocks of any
size, in any order, from any machine (Milakov and Gimelshein 2018, arXiv:1805.02867; Rabe and Staats 2021,
arXiv:2112.05682). Reading nothing leaves $(-\infty,0,0)$; a row that saw nothing but $-\infty$ finds the mixture 0.
Left out: scores of $+\infty$, which have no softmax, and come out as nan.

Shapes: (..) rows, S scores per row, E width of a value.
"""

from typing import NamedTuple

import torch


class State(NamedTuple):
    """What is remembered of the scores so far."""

    m: torch.Tensor  # (..) the largest of them
    l: torch.Tensor  # (..) the sum of e^(s - m)  # noqa: E741 (the letter of the papers)
    o: torch.Tensor  # (.., E) the sum of e^(s - m) v


def nothing(rows, width, like):
    """The state before the first score.  rows: a shape"""
    return State(like.new_full(rows, -torch.inf), like.new_zeros(rows), like.new_zeros(*rows, width))


def state_of(scores, v):
    """One block: T rows of scores (.., T, S) that mix the same values (.., S, E).  -> State of rows (.., T)"""
    m = scores.amax(-1)
    powers = (scores - anchored(m)[..., None]).exp()  # (.., T, S), none above 1
    return State(m, powers.sum(-1), powers @ v)


def combine(a, b):
    """Two blocks become one, whichever came first.  -> State"""
    m = torch.maximum(a.m, b.m)
    scale_a, scale_b = (a.m - anchored(m)).exp(), (b.m - anchored(m)).exp()
    return State(m, a.l * scale_a + b.l * scale_b, a.o * scale_a[..., None] + b.o * scale_b[..., None])


def anchored(m):
    """m, or 0 where nothing was seen: there -inf would be subtracted from itself, which is nan."""
    return m.masked_fill(m == -torch.inf, 0.0)


def finish(state):
    r"""The mixture $o/l$ (.., E), 0 for rows that saw nothing, and $\log\sum_s e^{s_s}=m+\log l$ (..)"""
    seen = state.l > 0
    mixture = state.o / state.l.where(seen, 1.0)[..., None]  # o is 0 where nothing was seen
    return mixture, state.m + state.l.log()
