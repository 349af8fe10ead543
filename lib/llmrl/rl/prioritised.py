r"""Replaying most what surprised most.

Schaul et al. 2016 (arXiv:1511.05952): a stored transition is drawn with probability $P(i)=p_i/\sum_k p_k$, where
$p_i=(|\delta_i|+\epsilon)^\alpha$ and $\delta_i$ is its last TD error. A binary tree whose nodes hold the sum of their
children finds one and changes one in $\log_2 N$ steps. Drawing unevenly changes the expectation that is learned;
weights $w_i=(N P(i))^{-\beta}$ take that back, completely at $\beta=1$. Left out: ranks instead of sizes.

Shapes: K trees side by side, one per seed, N leaves, B draws.
"""

import numpy as np


class SumTree:
    """K trees of N leaves.  nodes (K, 2 * width): 1 is the root, 2i and 2i+1 are children of i, leaves from width on"""

    def __init__(self, leaves, trees=1):
        if leaves < 1 or trees < 1:
            raise ValueError(f"a sum tree needs one or more leaves and trees, got {leaves} and {trees}")
        self.leaves, self.width = leaves, 1 << (leaves - 1).bit_length()
        self.nodes = np.zeros((trees, 2 * self.width))
        self.rows = np.arange(trees)[:, None]

    def total(self):
        """The sum over all leaves of every tree.  (K, 1)"""
        return self.nodes[:, 1:2]

    def set(self, leaves, priorities):
        """Give leaves (K, B) their priorities (K, B); a leaf that comes twice keeps one of its values."""
        leaves, priorities = np.asarray(leaves), np.asarray(priorities, dtype=float)
        if leaves.size and not 0 <= leaves.min() <= leaves.max() < self.leaves:
            raise ValueError(f"leaves go from 0 to {self.leaves - 1}, got {leaves.min()} to {leaves.max()}")
        if not (np.isfinite(priorities) & (priorities >= 0)).all():
            raise ValueError(f"a priority must be finite and 0 or more, got {priorities.min()}: a share of the chances")
        node = leaves + self.width
        self.nodes[self.rows, node] = priorities
        while node.shape[1] and node[0, 0] > 1:
            node = node // 2
            self.nodes[self.rows, node] = self.nodes[self.rows, 2 * node] + self.nodes[self.rows, 2 * node + 1]

    def find(self, mass):
        """The leaf whose share of the sum holds mass (K, B), 0 <= mass < total: go right when mass exceeds the left."""
        node, mass = np.ones(mass.shape, dtype=np.int64), mass.copy()
        for _ in range(self.width.bit_length() - 1):
            left = self.nodes[self.rows, 2 * node]
            right = (mass >= left) & (self.nodes[self.rows, 2 * node + 1] > 0)  # never a leaf of priority 0
            mass = np.where(right, mass - left, mass)
            node = 2 * node + right
        return node - self.width

    def priorities(self, leaves):
        """The priorities of leaves (K, B)."""
        return self.nodes[self.rows, leaves + self.width]

    def sample(self, count, random):
        """count leaves per tree, one from each of count equal parts of the sum, and their probabilities.  (K, count)"""
        if not (self.total() > 0).all():
            raise ValueError("nothing to draw from: every priority is 0; set some first")
        parts = np.arange(count) + random.random((len(self.nodes), count))
        leaves = self.find(parts / count * self.total())
        return leaves, self.priorities(leaves) / self.total()


def priority(errors, alpha=0.5, eps=1e-2):
    r"""$(|\delta|+\epsilon)^\alpha$; alpha 0 draws evenly."""
    if alpha < 0 or eps <= 0:
        raise ValueError(f"alpha must be 0 or more and eps above 0, got {alpha} and {eps}: else some are never drawn")
    return (np.abs(errors) + eps) ** alpha


def importance(chances, size, beta):
    r"""$(N P(i))^{-\beta}$, divided by the largest of the batch so that no step grows.  chances (..., B) -> (..., B)"""
    if not 0 <= beta <= 1:
        raise ValueError(f"beta must lie in [0, 1], got {beta}: 0 corrects nothing, 1 everything")
    weights = (size * chances) ** -beta
    return weights / weights.max(-1, keepdims=True)
