r"""Contextual bandits: the best arm depends on what is seen before the choice.

Before each step a context x is drawn, features of a visitor for example; arm a pays f_a(x) plus noise. LinUCB (Li et
al. 2010, arXiv:1003.0146) believes that f_a is linear and keeps a ridge regression per arm, $A_a=\lambda I+\sum
xx^\top$ and $b_a=\sum rx$. It scores by the estimate plus alpha standard errors, so that a direction nobody has looked
at yet is worth a look. One reward changes $A_a$ by an outer product, and Sherman and Morrison's formula turns that into
the change of the inverse without solving anything. Features phi(x) may stand in place of x: what the model can say
depends on them.
Left out: one model shared by all arms (hybrid LinUCB), contexts an opponent chooses, forgetting.

Shapes: N seeds, A arms, D features, T steps.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from llmrl.rl.bandits import highest


@dataclass(frozen=True)
class World:
    """Contexts and what arms pay: draw(n, random) -> (n, D), pay(contexts) -> means (n, A), noise of a reward."""

    draw: Callable
    pay: Callable
    noise: float = 0.1


def sherman_morrison(inverse, x):
    r"""$(A+xx^\top)^{-1}=A^{-1}-\frac{A^{-1}x\,(A^{-1}x)^\top}{1+x^\top A^{-1}x}$.  (..., D, D), (..., D) -> alike"""
    if inverse.shape[-1] != inverse.shape[-2] or inverse.shape[-1] != x.shape[-1]:
        raise ValueError(f"a (D, D) inverse meets x with D features, got {inverse.shape} and {x.shape}: check phi(x)")
    change = np.einsum("...ij,...j->...i", inverse, x)
    size = 1 + (x * change).sum(-1)
    return inverse - change[..., :, None] * change[..., None, :] / size[..., None, None]


def linucb_scores(x, inverse, b, alpha):
    r"""$x^\top\hat\theta_a+\alpha\sqrt{x^\top A_a^{-1}x}$, $\hat\theta_a=A_a^{-1}b_a$.  (D,), (A, D, D), (A, D) -> (A,)

    Leading dimensions are seeds: (N, D), (N, A, D, D), (N, A, D) -> (N, A).
    """
    if alpha < 0:
        raise ValueError(f"alpha counts standard errors and is zero or more, got {alpha}: 0 is greedy")
    along = np.einsum("...aij,...j->...ai", inverse, x)  # (..., A, D)
    return (along * b).sum(-1) + alpha * np.sqrt(np.maximum((along * x[..., None, :]).sum(-1), 0.0))


def solved_scores(x, grams, b, alpha):
    """The same scores by solving with A_a itself: a check, and the slow way.  grams (..., A, D, D)"""
    x = np.broadcast_to(x[..., None, :], b.shape)
    theta, along = (np.linalg.solve(grams, side[..., None])[..., 0] for side in (b, x))
    return (theta * x).sum(-1) + alpha * np.sqrt((along * x).sum(-1))


class LinUCB:
    """A ridge regression per arm for N seeds at once: scores(x) before a step, learn(x, arms, rewards) after it."""

    def __init__(self, seeds, arms, features, alpha=1.0, ridge=1.0):
        if not ridge > 0:
            raise ValueError(f"ridge must be above zero, got {ridge}: without it the first A cannot be inverted")
        self.alpha, self.everyone = alpha, np.arange(seeds)
        self.inverse = np.tile(np.eye(features) / ridge, (seeds, arms, 1, 1))  # (N, A, D, D)
        self.b = np.zeros((seeds, arms, features))

    def scores(self, x):
        """(N, D) -> (N, A)"""
        return linucb_scores(x, self.inverse, self.b, self.alpha)

    def learn(self, x, arms, rewards):
        """One step: contexts (N, D), the arms pulled (N,), what they paid (N,)."""
        pulled = self.everyone, arms
        self.inverse[pulled] = sherman_morrison(self.inverse[pulled], x)
        self.b[pulled] += rewards[:, None] * x


class ByLot:
    """Any arm, whatever the context: the rule to beat, and the one whose log can judge every other."""

    def __init__(self, arms):
        self.arms = arms

    def scores(self, x):
        """(N, D) -> (N, A), all equal"""
        return np.zeros((len(x), self.arms))

    def learn(self, x, arms, rewards):
        """Nothing."""


def meet(world, agent, steps, seeds, random, features=lambda x: x):
    """T steps of N seeds.  -> arms (T, N), regret so far (T, N); agent has scores(x) and learn(x, arms, rewards)"""
    if steps < 1 or seeds < 1:
        raise ValueError(f"steps and seeds must be 1 or more, got {steps} and {seeds}: nothing would be played")
    everyone, pulled, lost = np.arange(seeds), np.zeros((steps, seeds), int), np.zeros((steps, seeds))
    for t in range(steps):
        x = world.draw(seeds, random)
        means, phi = world.pay(x), features(x)
        arms = highest(agent.scores(phi), random)
        agent.learn(phi, arms, means[everyone, arms] + world.noise * random.standard_normal(seeds))
        pulled[t], lost[t] = arms, means.max(1) - means[everyone, arms]
    return pulled, lost.cumsum(0)


def linear_world(theta, noise=0.1):
    r"""Contexts uniform on $[-1,1]^{D-1}$ after a constant 1; arm a pays $\theta_a^\top x$.  theta (A, D)"""
    theta = np.asarray(theta, dtype=float)
    if theta.ndim != 2 or len(theta) < 2:
        raise ValueError(f"theta must be (arms, features) with two or more arms, got {theta.shape}")
    return World(_box(theta.shape[1]), lambda x: x @ theta.T, noise)


def ring_world(noise=0.1):
    """Two arms and a disc: the first pays near the middle of the square, the second far from it.  D = 3"""

    def pay(x):
        near = np.tanh(4 * (2 / np.pi - (x[:, 1:] ** 2).sum(1)))  # above 0 on half of the square
        return np.stack([near, -near], 1) / 2

    return World(_box(3), pay, noise)


def _box(features):
    def draw(n, random):
        return np.concatenate([np.ones((n, 1)), random.uniform(-1, 1, (n, features - 1))], 1)

    return draw


def squares(x):
    """x and the products of its entries: features with which a disc is linear.  (n, D) -> (n, D (D + 1) / 2)"""
    row, column = np.triu_indices(x.shape[1])
    return x[:, row] * x[:, column]


def lot(arms):
    """Arms drawn by lot, whatever the context: how a log has to be made if it is to judge other rules."""
    return lambda x, random: random.integers(arms, size=len(x))


def replayed(world, agent, steps, seeds, logged_by, random):
    """Judge an agent by a log, logged_by(x, random) -> arms (N,).  -> mean reward (N,), steps that counted (N,)

    Fair if the log's arms were drawn by lot, whatever the context (`lot`); nothing here can notice that they were not.
    Where the agent would have pulled the logged arm, its reward counts and is learned; other steps are skipped (Li et
    al. 2011, arXiv:1003.5956). A context of zeros teaches LinUCB nothing, which is how a seed skips.
    """
    everyone, paid, counted = np.arange(seeds), np.zeros(seeds), np.zeros(seeds)
    for _ in range(steps):
        x = world.draw(seeds, random)
        logged = logged_by(x, random)
        rewards = world.pay(x)[everyone, logged] + world.noise * random.standard_normal(seeds)
        match = highest(agent.scores(x), random) == logged
        agent.learn(x * match[:, None], logged, rewards)
        paid, counted = paid + match * rewards, counted + match
    return paid / np.maximum(counted, 1), counted
