r"""A neural bandit: features that are learned while it plays.

LinUCB says only what is linear in its features. Here a small network learns to predict the rewards of all arms from the
context, and its last hidden layer phi(x) is handed to LinUCB as features: deep representation, shallow exploration
(Riquelme et al. 2018, arXiv:1802.09127, with Thompson sampling; Xu et al. 2020, arXiv:2012.01780, with upper bounds).
Every `every` steps the network is trained on what was seen, and the regressions are built anew, because old sums belong
to old features. Between two trainings LinUCB learns from every reward. With alpha = 0 nothing explores, which is the
control.
Left out: uncertainty of the network's own weights, networks deeper than one layer, forgetting of old rewards.

Shapes: N seeds (each with a network of its own, all trained at once), A arms, D features, H hidden units, T steps.
"""

from dataclasses import dataclass

import numpy as np
import torch

from llmrl.rl.contextual import LinUCB


@dataclass(frozen=True)
class Settings:
    """How large the network is, how often and how long it is trained."""

    width: int = 32  # H
    every: int = 50  # steps between two trainings
    updates: int = 60  # gradient steps per training
    batch: int = 64  # remembered rewards per gradient step
    lr: float = 0.02
    alpha: float = 0.3  # standard errors added to an estimate
    ridge: float = 1.0

    def __post_init__(self):
        counts = self.width, self.every, self.updates, self.batch
        if any(count < 1 for count in counts) or not self.lr > 0:
            raise ValueError(f"width, every, updates and batch are 1 or more and lr is above 0, got {self}")


class NeuralLinear:
    """Networks of N seeds and a LinUCB on each one's hidden layer; scores(x) and learn(...) as LinUCB has them."""

    def __init__(self, seeds, arms, features, generator, settings=None):
        self.settings, self.generator = settings or Settings(), generator
        width = self.settings.width
        shapes = (features, width), (1, width), (width, arms), (1, arms)
        self.weights = [_drawn(seeds, shape, generator) for shape in shapes]
        self.optimizer = torch.optim.Adam(self.weights, lr=self.settings.lr)
        self.linear, self.arms, self.seen = None, arms, []
        self._rebuild(np.zeros((0, seeds, features)))

    def hidden(self, x):
        """phi(x), the last hidden layer.  (N, D) or (N, B, D) tensor -> (N, H) or (N, B, H)"""
        into, bias = self.weights[:2]
        return torch.tanh(torch.baddbmm(bias, x if x.dim() == 3 else x[:, None], into)).reshape(*x.shape[:-1], -1)

    def phi(self, x):
        """The same on arrays, without gradients.  (N, D) -> (N, H)"""
        with torch.no_grad():
            return self.hidden(torch.from_numpy(x).float()).double().numpy()

    def scores(self, x):
        """(N, D) -> (N, A)"""
        return self.linear.scores(self.phi(x))

    def learn(self, x, arms, rewards):
        """One step; every `every` steps train the network and build the regressions on its new features."""
        self.seen.append((x, arms, rewards))
        self.linear.learn(self.phi(x), arms, rewards)
        if len(self.seen) % self.settings.every == 0:
            contexts, pulled, paid = (np.stack(part) for part in zip(*self.seen))
            self._train(*(torch.from_numpy(part.swapaxes(0, 1).copy()) for part in (contexts, pulled, paid)))
            self._rebuild(contexts, pulled, paid)

    def _train(self, x, arms, rewards):
        """Squared error of the pulled arm's prediction on remembered steps.  x (N, T, D), arms and rewards (N, T)"""
        everyone = torch.arange(len(x))[:, None]
        for _ in range(self.settings.updates):
            pick = torch.randint(x.shape[1], (len(x), self.settings.batch), generator=self.generator)  # (N, B)
            out = torch.baddbmm(self.weights[3], self.hidden(x[everyone, pick].float()), self.weights[2])  # (N, B, A)
            guess = out.gather(-1, arms[everyone, pick][..., None])[..., 0]
            loss = (guess - rewards[everyone, pick].float()).square().mean(1).sum()  # each network has its own mean
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()

    def _rebuild(self, contexts, arms=None, rewards=None):
        """A LinUCB on the features as they are now, from all that was seen.  contexts (T, N, D)"""
        settings, seeds = self.settings, contexts.shape[1]
        self.linear = LinUCB(seeds, self.arms, settings.width, settings.alpha, settings.ridge)
        if len(contexts):
            phi = np.stack([self.phi(x) for x in contexts])  # (T, N, H)
            pulled = arms[..., None] == np.arange(self.arms)  # (T, N, A)
            for arm in range(self.arms):
                mine = (phi * pulled[..., arm, None]).swapaxes(0, 1)  # (N, T, H)
                gram = settings.ridge * np.eye(settings.width) + mine.swapaxes(1, 2) @ mine
                self.linear.inverse[:, arm] = np.linalg.inv(gram)
                self.linear.b[:, arm] = (mine * rewards.T[..., None]).sum(1)


def _drawn(seeds, shape, generator):
    """Weights scaled by the root of their inputs, biases spread over [-1, 1].  -> (N, *shape)"""
    if shape[0] == 1:
        return (2 * torch.rand(seeds, *shape, generator=generator) - 1).requires_grad_()
    return (torch.randn(seeds, *shape, generator=generator) / shape[0] ** 0.5).requires_grad_()
