"""Curiosity without counting: random network distillation (Burda et al. 2018, arXiv:1810.12894).

Two small networks look at the state one comes to. The target is random and stays so; the predictor learns to give the
same numbers, from the states that are visited. Where it has often been it predicts well; where it has not it is wrong,
and its error is the bonus. Nothing is counted, so states need not repeat: it is enough that new ones look new. Because
the target is a fixed function of the state, chance in the world is not mistaken for news. The gradient of two layers
is four lines by hand; at this size that is several times faster than a library that records the way back.
Left out: a running scale of the errors (they are measured in units of the first ones), a second value head for bonuses
that go on beyond the end of an episode, pixels.

Shapes: N seeds, S states, D features, H = 32 hidden units, K = 16 outputs, B inputs.
"""

import numpy as np


class RandomNetworkDistillation:
    """The bonus of N seeds for the states they come to, a pair of networks each.  features (S, D): how states look"""

    def __init__(self, features, seeds, beta, random, lr=0.2):
        self.features = np.asarray(features, dtype=float)
        if self.features.ndim != 2:
            raise ValueError(f"features must be (S, D), a row of numbers per state, got {self.features.shape}")
        if beta < 0 or lr <= 0:
            raise ValueError(f"beta must be 0 or more and lr above 0, got beta {beta} and lr {lr}")
        widths = self.features.shape[1], 32, 16
        target, self.predictor = begun(seeds, widths, random), begun(seeds, widths, random)
        self.wanted = two_layers(target, self.features)[1]  # (N, S, K): the target never changes
        self.seed, self.beta, self.lr = np.arange(seeds), beta, lr
        self.unit = self.errors().mean(1, keepdims=True)  # (N, 1): a state nobody has seen pays about beta

    def errors(self):
        """How wrong the predictor is about every state now.  -> (N, S)"""
        return ((two_layers(self.predictor, self.features)[1] - self.wanted) ** 2).sum(-1)

    def __call__(self, states, actions, after):
        """The bonus for coming to `after` (N,), and one step of gradient descent on it.  -> (N,)"""
        looks = self.features[after][:, None]  # (N, 1, D)
        hidden, guess = two_layers(self.predictor, looks)
        off = guess - self.wanted[self.seed, after][:, None]  # (N, 1, K)
        error = (off**2).sum((1, 2)) / self.unit[:, 0]
        last = 2 * off / self.unit[:, None]  # how the error changes with the outputs
        first = (last @ self.predictor[1][0].swapaxes(1, 2)) * (hidden > 0)  # and with what enters the hidden units
        for (weight, bias), entered, slope in zip(self.predictor, (looks, hidden), (first, last)):
            weight -= self.lr * entered.swapaxes(1, 2) * slope
            bias -= self.lr * slope
        return self.beta * error


def begun(networks, widths, random):
    """N networks of two layers, (weight, bias) each, drawn evenly within one over the root of a layer's inputs."""
    return [
        (random.uniform(-1, 1, (networks, n, m)) / n**0.5, random.uniform(-1, 1, (networks, 1, m)) / n**0.5)
        for n, m in zip(widths, widths[1:])
    ]


def two_layers(layers, inputs):
    """Two layers with a rectifier between: the hidden units and the outputs.  inputs (N or 1, B, D) or (B, D)"""
    (weight, bias), (weight2, bias2) = layers
    hidden = np.maximum(inputs @ weight + bias, 0.0)
    return hidden, hidden @ weight2 + bias2
