r"""The whole distribution of the return on fixed atoms: C51.

Bellemare, Dabney and Munos 2017 (arXiv:1707.06887). The return of a state and action is a distribution over M atoms
$z_1<\dots<z_M$ with equal gaps $\Delta$. A transition moves every atom to $r+\gamma z_j$, which lies between atoms as a
rule; the projection shares its probability among the two neighbours, the nearer getting more. Mass and, inside the
range of the atoms, the mean stay what they were; what falls outside is pulled to the edge.
Left out: the network's loss, which is cross-entropy between the projected target and the prediction.

Shapes: B transitions, M atoms, S states.
"""

import torch


def atoms(low, high, count, dtype=None):
    """count atoms evenly from low to high.  (M,)"""
    if count < 2 or not low < high:
        raise ValueError(f"atoms need low < high and 2 or more of them, got {low}, {high} and {count}")
    return torch.linspace(low, high, count, dtype=dtype)


def c51_project(probs, rewards, discount, support):
    r"""The distribution of $r+\gamma Z$ on the atoms: $m_i=\sum_j p_j\,[1-|\hat z_j-z_i|/\Delta]_0^1$.

    probs (..., M), rewards and discount (...), support (M,) -> (..., M).  discount is 0 where the episode terminated.
    """
    if probs.shape[-1] != support.shape[0]:
        raise ValueError(f"probs must have one entry per atom, got {tuple(probs.shape)} for {support.shape[0]} atoms")
    gap = support[1] - support[0]
    moved = rewards[..., None] + discount[..., None] * support  # (..., M)
    moved = moved.clamp(support[0], support[-1])
    shares = (1 - (moved[..., None, :] - support[:, None]).abs() / gap).clamp(0, 1)  # (..., to i, from j)
    return (shares * probs[..., None, :]).sum(-1)


def expectation(probs, support):
    """The mean of distributions on the atoms.  (..., M) -> (...)"""
    return (probs * support).sum(-1)


def cross_entropy(logits, target):
    r"""$-\sum_i m_i\log p_i$, the loss of C51.  logits and target (..., M) -> (...)"""
    return -(target * logits.log_softmax(-1)).sum(-1)


def evaluate(chain, rewards, gamma, support, sweeps):
    """The return's distribution in every state of a Markov chain, by sweeps of the projected Bellman equation.

    chain (S, S) of probabilities, rewards (S, S) on each transition, terminal states looping at reward 0 -> (S, M)
    """
    probs = torch.zeros(len(chain), len(support), dtype=support.dtype)
    probs[:, support.abs().argmin()] = 1.0  # begin with a return of zero, for sure
    discount = torch.full_like(rewards, gamma)
    for _ in range(sweeps):
        arrived = c51_project(probs.expand(len(chain), -1, -1), rewards, discount, support)  # (S, S', M)
        probs = (chain[..., None] * arrived).sum(1)
    return probs
