r"""Rainbow: six repairs of DQN in one agent (Hessel et al. 2018, arXiv:1710.02298).

Double: one network chooses the next action, the frozen one rates it. Dueling: two streams make one Q. Prioritised:
surprising transitions are replayed more. n-step: the target looks n rewards ahead. Distributional: the network
predicts the distribution of the return, and the loss is the cross-entropy to the projected target. Noisy: weights with
learned noise explore in place of random actions. Each can be left out, and what is left is still an agent; all left
out, it is DQN, and the loop is DQN's own. Left out: pixels, and the streams' own hidden layers.

Shapes: N learners, B transitions, D features, H hidden units, A actions, M atoms (1 without distribution).
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from llmrl.rl.distributional import c51_project, cross_entropy, expectation
from llmrl.rl.dueling import DuelingHead
from llmrl.rl.n_step import Windows
from llmrl.rl.noisy import NoisyLinear
from llmrl.rl.prioritised import SumTree, importance, priority
from llmrl.rl.stacked import StackedLinear


@dataclass(frozen=True)
class Parts:
    """What the agent is made of; everything by default."""

    double: bool = True
    dueling: bool = True
    prioritised: bool = True
    n: int = 3
    distributional: bool = True
    noisy: bool = True

    def without(self, part):
        """All but one part."""
        return replace(self, **{part: getattr(DQN, part)})


DQN = Parts(double=False, dueling=False, prioritised=False, n=1, distributional=False, noisy=False)


class RainbowNetwork(nn.Module):
    """Action values of N learners.  sizes: D, H, A; support (M,) holds the atoms"""

    def __init__(self, parts, sizes, support, learners, generator):
        super().__init__()
        (inputs, hidden, actions), self.learners = sizes, learners
        self.support = support if parts.distributional else torch.ones(1)
        layer = NoisyLinear if parts.noisy else StackedLinear
        self.body = StackedLinear(learners, inputs, hidden, generator)
        if parts.dueling:
            self.head = DuelingHead(learners, hidden, actions, len(self.support), layer, generator)
        else:
            self.head = layer(learners, hidden, actions * len(self.support), generator)

    def numbers(self, states):
        """Logits of the atoms, or the value alone.  states (N, B, D) -> (N, B, A, M)"""
        found = self.head(self.body(states).relu())
        return found if found.dim() == 4 else found.unflatten(-1, (-1, len(self.support)))

    def forward(self, states):
        """states (N, B, D) -> action values (N, B, A)"""
        found = self.numbers(states)
        return found[..., 0] if len(self.support) == 1 else expectation(found.softmax(-1), self.support)

    def draw(self, generator):
        """New noise in every noisy layer."""
        for layer in self.modules():
            if isinstance(layer, NoisyLinear):
                layer.draw(generator)


class SurprisingWindows(Windows):
    """Windows of n steps, drawn in proportion to their priorities; a new one gets the largest priority so far."""

    def __init__(self, capacity, learners, width, n, gamma, alpha=0.5):
        super().__init__(capacity, learners, width, n, gamma)
        self.tree, self.alpha, self.beta = SumTree(capacity, learners), alpha, 0.4
        self.highest = np.ones((learners, 1))

    def add(self, states, actions, rewards, next_states, ends, keep=None):
        """As Replay.add; the window that is now full can be drawn, the one that was overwritten cannot."""
        before = self.count.copy()
        super().add(states, actions, rewards, next_states, ends, keep)
        moved, full = self.count > before, self.count >= self.n
        for lag, value, now in ((0, 0.0, moved), (self.n - 1, self.highest, moved & full)):
            at = ((self.count - 1 - lag) % self.capacity)[:, None]
            self.tree.set(at, np.where(now[:, None], value, self.tree.priorities(at)))

    def sample(self, size, random):
        """So many windows per learner, and the weights that undo the preference to the power beta."""
        if len(self) == 0:
            raise ValueError(f"nothing to draw from: a window needs {self.n} steps of every learner, add() them first")
        places, chances = self.tree.sample(size, random)
        windows = np.minimum(self.count, self.capacity)[:, None] - self.n + 1
        return self.folded(places, importance(chances, windows, self.beta))

    def rate(self, places, errors):
        """The errors (N, B) of the windows at places (N, B) become their priorities."""
        found = priority(errors, self.alpha)
        self.highest = np.maximum(self.highest, found.max(1, keepdims=True))
        self.tree.set(places, found)


def picked(numbers, actions):
    """The numbers of one action per state.  (N, B, A, M), (N, B) -> (N, B, M)"""
    return numbers.gather(2, actions[..., None, None].expand(-1, -1, 1, numbers.shape[-1])).squeeze(2)


def rainbow_loss(parts, memory, generator):
    """The loss that DQN's loop asks for: loss(network, frozen, windows) -> (N, B)."""

    def loss(network, frozen, windows):
        for each in (network, frozen):
            each.draw(generator)
        with torch.no_grad():
            best = (network if parts.double else frozen)(windows.next_states).argmax(-1)
            after = picked(frozen.numbers(windows.next_states), best)
        here = picked(network.numbers(windows.states), windows.actions)
        found, surprise = (distribution_loss if parts.distributional else value_loss)(here, after, windows, network)
        if parts.prioritised:
            memory.rate(windows.places, surprise.numpy())
        return found * windows.weights

    return loss


def value_loss(here, after, windows, network):
    """Huber's loss of the TD error, and the error's size.  here, after (N, B, 1) -> (N, B), (N, B)"""
    target = windows.returns + windows.discount * after[..., 0]
    return F.smooth_l1_loss(here[..., 0], target, reduction="none"), (target - here[..., 0]).detach().abs()


def distribution_loss(here, after, windows, network):
    """Cross-entropy to the projected target, and the divergence from it.  here, after (N, B, M) -> (N, B), (N, B)"""
    target = c51_project(after.softmax(-1), windows.returns, windows.discount, network.support)
    found = cross_entropy(here, target)
    own = torch.special.entr(target).sum(-1)  # what no prediction can get below
    return found, (found.detach() - own).clamp(min=0)


def memory_for(parts, capacity, learners, width, gamma):
    """The memory these parts need."""
    kind = SurprisingWindows if parts.prioritised else Windows
    return kind(capacity, learners, width, parts.n, gamma)


@torch.no_grad()
def greedy_actions(network, features):
    """The action of every learner in every state, without noise.  features (S, D) -> (N, S)"""
    network.eval()
    q = network(torch.from_numpy(features).expand(network.learners, -1, -1))
    network.train()
    return q.argmax(-1).numpy()
