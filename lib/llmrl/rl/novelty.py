r"""Curiosity without counting: random network distillation (Burda et al. 2018, arXiv:1810.12894).

Two small networks look at the state one comes to. The target is random and stays so; the predictor learns to give the
same numbers, from the states that are visited. Where it has often been it predicts well; where it has not it is wrong,
and its error is the bonus. Nothing is counted, so states need not repeat: it is enough that new ones look new. Because
the target is a fixed function of the state, chance in the world is not mistaken for news.
Left out: a running scale of the errors (they are measured in units of the first ones), a second value head for bonuses
that go on beyond the end of an episode, pixels.

Shapes: N seeds, S states, D features, H = 32 hidden units, K = 16 outputs.
"""

import torch
from torch import nn

from llmrl.rl.stacked import StackedLinear


class RandomNetworkDistillation:
    """The bonus of N seeds for the states they come to, a pair of networks each.  features (S, D): how states look"""

    def __init__(self, features, seeds, beta, generator, lr=0.2):
        self.features = torch.as_tensor(features, dtype=torch.float32)
        if self.features.ndim != 2:
            raise ValueError(f"features must be (S, D), a row of numbers per state, got {tuple(self.features.shape)}")
        if beta < 0 or lr <= 0:
            raise ValueError(f"beta must be 0 or more and lr above 0, got beta {beta} and lr {lr}")
        width = self.features.shape[1]
        target, self.predictor = (
            nn.Sequential(
                StackedLinear(seeds, width, 32, generator), nn.ReLU(), StackedLinear(seeds, 32, 16, generator)
            )
            for _ in range(2)
        )
        self.seen = self.features.expand(seeds, -1, -1)  # (N, S, D)
        self.wanted = target(self.seen).detach()  # (N, S, K): the target never changes
        self.optimizer = torch.optim.SGD(self.predictor.parameters(), lr=lr)
        self.seed, self.beta = torch.arange(seeds), beta
        self.unit = self.errors().mean(1, keepdim=True)  # (N, 1): a state nobody has seen pays about beta

    @torch.no_grad()
    def errors(self):
        """How wrong the predictor is about every state now.  -> (N, S)"""
        return (self.predictor(self.seen) - self.wanted).square().sum(-1)

    def __call__(self, states, actions, after):
        """The bonus for coming to `after` (N,), and one step of gradient descent on it.  -> (N,)"""
        after = torch.from_numpy(after)
        off = self.predictor(self.features[after][:, None])[:, 0] - self.wanted[self.seed, after]
        error = off.square().sum(-1) / self.unit[:, 0]
        self.optimizer.zero_grad()
        error.sum().backward()
        self.optimizer.step()
        return self.beta * error.detach().double().numpy()
