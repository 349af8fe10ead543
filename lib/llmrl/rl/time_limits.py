r"""What a time limit does to values when it is mistaken for the end of the world.

An episode that is truncated went on, only nobody watched. A target that treats the last watched step as terminal says
that nothing comes after it, and says so for a state in which, most of the time, something does. With $c(s)$ the
share of visits to $s$ that the clock cuts off, temporal differences then settle where
$V=r_\pi+\gamma(1-c)\,P_\pi V$ and not where $V=r_\pi+\gamma P_\pi V$ (Pardo et al. 2018, arXiv:1712.00378). Both are
exact here, for a squared loss; Huber's, which lets a rare surprise count for less, settles in between.
Left out: states that contain the time left, for which a limit is a true end.

Shapes: S states.
"""

import numpy as np

from llmrl.rl.mdp import chain


def cut_share(mdp, policy, limit):
    """The share of visits to each state in which the clock stops with the step that follows.  -> (S,)"""
    if limit < 1:
        raise ValueError(f"a time limit must be 1 step or more, got {limit}")
    to, _ = chain(mdp, policy)
    here, visits = mdp.start * ~mdp.terminal, np.zeros(mdp.states)
    for _ in range(limit):
        visits, last = visits + here, here
        here = here @ to * ~mdp.terminal
    return np.divide(last, visits, out=np.zeros_like(last), where=visits > 0)


def limited_values(mdp, policy, gamma, cut):
    """Where temporal differences settle when a share `cut` (S,) of the steps counts as terminal.  -> (S,)"""
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma must lie in [0, 1), got {gamma}: without a limit these episodes may go on for ever")
    to, paid = chain(mdp, policy)
    return np.linalg.solve(np.eye(mdp.states) - gamma * (1 - np.asarray(cut))[:, None] * to, paid)
