r"""An actor and a critic in one network: what to do in a state, and how much it is worth to be there.

The actor's trunk ends in a head that makes a distribution over actions of its numbers; the critic's ends in one number,
$V(s)$. With shared=True both read the same trunk, which saves half of the work and lets the gradients of two tasks meet
in one set of weights. Several learners, which share nothing, may lie side by side in one stack of weights: eight seeds
then cost little more than one. Left out: convolutions, and memory of earlier states.

Shapes: K learners, N environments (E per learner), B states per learner, D numbers per state, A actions or joints.
"""

from itertools import pairwise

import torch
from torch import nn

from llmrl.policy.heads import Softmax
from llmrl.rl.stacked import StackedLinear


class ActorCritic(nn.Module):
    """states (..., D) -> a distribution over actions, values (...).

    With K learners the leading axis holds them one after the other: (K, B, D), or (K E, D) for E environments each.
    """

    def __init__(self, inputs, actions, hidden=(64, 64), shared=False, head=Softmax, learners=1, generator=None):
        super().__init__()
        self.inputs, self.actions, self.shared, self.head, self.learners = inputs, actions, shared, head, learners
        sizes = (inputs, *hidden)
        self.actor = _trunk(sizes, learners, generator)
        self.critic = self.actor if shared else _trunk(sizes, learners, generator)
        self.policy_head = StackedLinear(learners, sizes[-1], actions, generator)
        self.value_head = StackedLinear(learners, sizes[-1], 1, generator)
        self.log_std = None if head is Softmax else nn.Parameter(torch.zeros(learners, 1, actions))

    def forward(self, states):
        x = self._by_learner(states)
        h = _through(self.actor, x)
        values = self.value_head(h if self.shared else _through(self.critic, x))  # (K, B, 1)
        return self._distribution(h, states.shape[:-1]), values.reshape(states.shape[:-1])

    def policy(self, states):
        """The distribution alone."""
        return self._distribution(_through(self.actor, self._by_learner(states)), states.shape[:-1])

    def value(self, states):
        """The values alone.  (..., D) -> (...)"""
        return self.value_head(_through(self.critic, self._by_learner(states))).reshape(states.shape[:-1])

    def _by_learner(self, states):
        if states.shape[-1] != self.inputs or (self.learners > 1 and states.shape[0] % self.learners):
            raise ValueError(
                f"states must be (..., {self.inputs}), learner after learner along the first axis for "
                f"{self.learners} of them, got {tuple(states.shape)}"
            )
        return states.reshape(self.learners, -1, self.inputs)  # (K, B, D)

    def _distribution(self, h, shape):
        numbers = self.policy_head(h)  # (K, B, A)
        if self.log_std is None:
            return self.head(numbers.reshape(*shape, self.actions))
        widths = self.log_std.expand_as(numbers).reshape(*shape, self.actions)
        return self.head(numbers.reshape(*shape, self.actions), widths)


def _trunk(sizes, learners, generator):
    return nn.ModuleList(StackedLinear(learners, *two, generator) for two in pairwise(sizes))


def _through(trunk, x):
    for layer in trunk:
        x = layer(x).tanh()  # (K, B, H)
    return x


@torch.no_grad()
def orthogonal_(network, generator=None):
    r"""Begin with orthogonal weights: gain $\sqrt2$ in the trunks, 0.01 for the policy, 1 for the value; no biases.

    A policy head so small makes all actions about equally likely at the start.
    """
    trunks = network.actor if network.shared else [*network.actor, *network.critic]
    gains = [(layer, 2**0.5) for layer in trunks] + [(network.policy_head, 0.01), (network.value_head, 1.0)]
    for layer, gain in gains:
        for weight in layer.weight:
            nn.init.orthogonal_(weight, gain, generator=generator)
        layer.bias.zero_()
    return network
