r"""Heads: what a network's last layer says, read as a distribution over actions.

A policy is parameterised twice: the network's weights make a few numbers per state, and a head makes chances of them.
Softmax reads one score per action and serves any finite choice, a token or a push to the left. Gaussian reads a mean
and the logarithm of a width per joint and serves real numbers. Squashed sends a Gaussian draw through tanh, which keeps
it inside (-1, 1) and stretches the density, so the log-probability gains the logarithm of the stretching. All three
speak alike, and a policy gradient needs no more: sample, logp, entropy, mode; kl where it has a closed form.
Left out: mixtures, widths that depend on each other (full covariance), other bounds than (-1, 1): scale the action.

Shapes: any leading axes (...), A actions of a finite choice, D joints of a continuous one.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

LOG_ROOT_2PI = 0.5 * math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class Softmax:
    r"""$\pi(a)=e^{z_a}/\sum_b e^{z_b}$.  logits z (..., A); a score of -inf forbids the action"""

    logits: torch.Tensor

    def sample(self, generator=None):
        """One action per row, by a race: the action whose score minus the log of an exponential clock is largest."""
        clocks = torch.empty_like(self.logits).exponential_(generator=generator)
        return (self.logits - clocks.log()).argmax(-1)

    def mode(self):
        """The most likely action.  (...)"""
        return self.logits.argmax(-1)

    def logps(self):
        """The log-probability of every action.  (..., A)"""
        return F.log_softmax(self.logits, -1)

    def logp(self, actions):
        """The log-probability of the actions that were taken.  actions (...) whole -> (...)"""
        _alike(actions, self.logits.shape[:-1], "one action per row of logits")
        return self.logps().gather(-1, actions[..., None]).squeeze(-1)

    def entropy(self):
        r"""$-\sum_a\pi(a)\log\pi(a)$, in nats: 0 when sure, log A when all are alike.  (...)"""
        logps = self.logps()
        return -(logps.exp() * _finite(logps)).sum(-1)

    def kl(self, other):
        r"""$\sum_a\pi(a)\log\frac{\pi(a)}{\pi'(a)}$, this policy against another.  (...)"""
        logps = self.logps()
        return (logps.exp() * (_finite(logps) - _finite(other.logps()))).sum(-1)


@dataclass(frozen=True, eq=False)
class Gaussian:
    """Independent normal draws, one per joint.  mean (..., D); log_std, the logarithm of the width, (D,) or (..., D)"""

    mean: torch.Tensor
    log_std: torch.Tensor

    def sample(self, generator=None):
        """mean + std * noise: differentiable in both, for those who push gradients through a draw.  (..., D)"""
        noise = torch.empty_like(self.mean).normal_(generator=generator)
        return self.mean + self.log_std.exp() * noise

    def mode(self):
        return self.mean

    def logp(self, actions):
        r"""$\sum_d-\frac12(\frac{a_d-\mu_d}{\sigma_d})^2-\log\sigma_d-\frac12\log2\pi$.  (..., D) -> (...)"""
        _alike(actions, self.mean.shape, "one number per joint")
        z = (actions - self.mean) * (-self.log_std).exp()
        return (-0.5 * z**2 - self.log_std - LOG_ROOT_2PI).sum(-1)

    def entropy(self):
        r"""$\sum_d\log\sigma_d+\frac12\log2\pi e$: it grows with the width, without end, and may be negative.  (...)"""
        return (self.log_std + 0.5 + LOG_ROOT_2PI).expand_as(self.mean).sum(-1)

    def kl(self, other):
        """The divergence of this Gaussian from another.  (...)"""
        ratio = (2 * (self.log_std - other.log_std)).exp()
        distance = ((self.mean - other.mean) * (-other.log_std).exp()) ** 2
        return (other.log_std - self.log_std + 0.5 * (ratio + distance - 1)).sum(-1)


@dataclass(frozen=True, eq=False)
class Squashed:
    r"""$a=\tanh u$ of a Gaussian draw u: a choice inside (-1, 1).  mean, log_std as of the Gaussian"""

    mean: torch.Tensor
    log_std: torch.Tensor

    @property
    def inner(self):
        """The Gaussian before it is squashed."""
        return Gaussian(self.mean, self.log_std)

    def sample(self, generator=None):
        return self.inner.sample(generator).tanh()

    def mode(self):
        """The squashed mean. (The density itself may be largest elsewhere, even at both ends.)"""
        return self.mean.tanh()

    def draw(self, generator=None):
        """An action and its log-probability, with no way back through atanh.  -> (..., D), (...)"""
        u = self.inner.sample(generator)
        return u.tanh(), self.inner.logp(u) - stretch(u).sum(-1)

    def logp(self, actions):
        r"""$\log\mathcal N(u)-\sum_d\log(1-\tanh^2u_d)$ with $u=\mathrm{atanh}\,a$.  actions (..., D) -> (...)

        An action that rounding put on -1 or 1 is read as the nearest number inside.
        """
        edge = 1 - torch.finfo(actions.dtype).eps
        u = actions.clamp(-edge, edge).atanh()
        return self.inner.logp(u) - stretch(u).sum(-1)

    def entropy(self, nodes=64):
        r"""The Gaussian's entropy plus the mean of $\log(1-\tanh^2u)$, by quadrature: no closed form.  (...)"""
        at, weights = np.polynomial.hermite_e.hermegauss(nodes)
        at, weights = (self.mean.new_tensor(x) for x in (at, weights / weights.sum()))
        u = self.mean[..., None] + self.log_std.exp()[..., None] * at  # (..., D, nodes)
        return self.inner.entropy() + (stretch(u) @ weights).sum(-1)


def stretch(u):
    r"""$\log\frac{d\tanh u}{du}=\log(1-\tanh^2u)=2(\log2-u-\log(1+e^{-2u}))$, finite for any u.  any shape"""
    return 2 * (math.log(2) - u - F.softplus(-2 * u))


def _finite(logps):
    """-inf as the lowest finite number, so that nothing times it is nothing and not nan."""
    return logps.clamp(min=torch.finfo(logps.dtype).min)


def _alike(actions, shape, rule):
    if actions.shape != shape:
        raise ValueError(f"actions must be {tuple(shape)}, {rule}, got {tuple(actions.shape)}")
