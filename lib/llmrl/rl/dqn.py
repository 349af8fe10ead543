r"""Deep Q-learning: Q-learning with a network for a table (Mnih et al. 2015, doi:10.1038/nature14236).

Act, mostly by the network's best action and sometimes at random; store the transition; draw old ones; move
$Q(s,a)$ towards $r+\gamma(1-d)\max_{a'}Q^-(s',a')$, where $d$ is 1 after a terminated step only and $Q^-$ is a copy of
the network that is refreshed now and then. N learners run side by side: each has an environment, a memory, weights and
an optimizer state of its own, and gradients are clipped for each alone, so that N seeds are N independent runs.
Left out: frames of pixels, several environments per learner, and optimizers other than Adam.

Shapes: N learners, E episodes each, B transitions, D numbers per state, A actions.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F

from llmrl.rl.spaces import refuse_others
from llmrl.rl.td import td_target


@dataclass(frozen=True)
class Exploration:
    """Epsilon falls in a straight line from start to end over so many steps, and stays there."""

    start: float = 1.0
    end: float = 0.04
    steps: int = 4000

    def __call__(self, step):
        return max(self.end, self.start + (self.end - self.start) * step / self.steps)


@dataclass(frozen=True)
class Config:
    """The dials of one run. A gradient step draws `batch` transitions; `updates` of them follow every `every` steps."""

    steps: int = 8_000  # of the environment, per learner
    lr: float = 1e-3
    batch: int = 64
    warmup: int = 500  # steps before the first gradient step
    every: int = 1
    updates: int = 1
    sync: int = 200  # gradient steps from one refreshment of the target network to the next
    tau: float = 1.0  # how far a refreshment goes: 1 copies, less mixes; with sync = 1 and tau = 1 there is no target
    clip: float = 10.0  # longest gradient
    epsilon: Callable = Exploration()

    def __post_init__(self):
        for name in ("steps", "batch", "every", "updates", "sync"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}: it counts something")
        if self.warmup < 0 or self.lr <= 0 or self.clip <= 0 or not 0 < self.tau <= 1:
            raise ValueError(
                f"warmup must be 0 or more, lr and clip above 0 and tau in (0, 1], got warmup {self.warmup}, "
                f"lr {self.lr}, clip {self.clip}, tau {self.tau}"
            )


def q_target(rewards, terminated, next_q, gamma):
    r"""$r+\gamma(1-d)\max_{a'}Q^-(s',a')$.  rewards, terminated (...); next_q (..., A) -> (...)"""
    return td_target(rewards, next_q.amax(-1), terminated > 0, gamma)


def double_target(rewards, terminated, next_q, next_online_q, gamma):
    r"""$r+\gamma(1-d)\,Q^-(s',\arg\max_{a'}Q(s',a'))$: one chooses, the other rates.  next_q (..., A) -> (...)"""
    best = next_online_q.argmax(-1, keepdim=True)
    return td_target(rewards, next_q.gather(-1, best).squeeze(-1), terminated > 0, gamma)


def half_square(q, target, reduction="none"):
    """Half the squared error; Huber's loss is the same up to an error of 1 and grows in a straight line from there."""
    return F.mse_loss(q, target, reduction=reduction) / 2


def td_loss(network, frozen, batch, gamma=0.99, double=False, error=F.smooth_l1_loss):
    """The loss of every transition's TD error: Huber's, or squared.  -> (N, B)"""
    if not 0 <= gamma < 1:
        raise ValueError(f"gamma must lie in [0, 1), got {gamma}: a truncated episode has no last step, so it goes on")
    with torch.no_grad():
        next_q = frozen(batch.next_states)
        if double:
            target = double_target(batch.rewards, batch.terminated, next_q, network(batch.next_states), gamma)
        else:
            target = q_target(batch.rewards, batch.terminated, next_q, gamma)
    q = network(batch.states).gather(-1, batch.actions[..., None]).squeeze(-1)
    return error(q, target, reduction="none")


def clip_each(parameters, longest):
    """Shorten every learner's gradient to at most `longest`.  -> (N,) the lengths before"""
    length = torch.cat([p.grad.flatten(1) for p in parameters], 1).norm(dim=1)
    scale = (longest / (length + 1e-6)).clamp(max=1.0)
    for p in parameters:
        p.grad.mul_(scale.view(-1, *[1] * (p.dim() - 1)))
    return length


def gradient_step(network, loss, optimizer, clip):
    """One step of every learner on the mean of its own losses.  loss (N, B) -> (N,)"""
    each = loss.mean(1)
    optimizer.zero_grad()
    each.sum().backward()
    clip_each([p for p in network.parameters() if p.grad is not None], clip)
    optimizer.step()
    return each.detach()


@torch.no_grad()
def refresh(frozen, network, tau=1.0):
    """Move the target network towards the network: all the way for tau = 1."""
    for old, new in zip(frozen.parameters(), network.parameters()):
        old.lerp_(new, tau)


@torch.no_grad()
def explore(network, states, epsilon, random):
    """For every learner its best action, or with probability epsilon any.  states (N, D) -> (N,)"""
    q = network(torch.from_numpy(states)[:, None])[:, 0]  # (N, A)
    at_random = random.random(len(states)) < epsilon
    return np.where(at_random, random.integers(q.shape[-1], size=len(states)), q.argmax(-1).numpy())


def train(envs, network, memory, config, random, loss=td_loss):
    """Run `config.steps` steps; a record after every round of gradient steps.  envs: one environment per learner

    loss(network, frozen, batch) -> (N, B).  A record's `finished` holds (learner, return) of the episodes that ended.
    """
    refuse_others(envs, network, memory)
    frozen, optimizer = copy.deepcopy(network), torch.optim.Adam(network.parameters(), lr=config.lr, fused=True)
    states, _ = envs.reset(seed=int(random.integers(2**31)))
    over, score, finished, updates = np.zeros(len(states), bool), np.zeros(len(states)), [], 0
    for step in range(config.steps):
        epsilon = config.epsilon(step)
        actions = explore(network, states, epsilon, random)
        next_states, rewards, terminated, truncated, _ = envs.step(actions)
        memory.add(states, actions, rewards, next_states, (terminated, truncated), keep=~over)
        states, over, score = next_states, terminated | truncated, score + rewards
        finished += [(int(n), float(score[n])) for n in np.flatnonzero(over)]
        score[over] = 0
        if step < config.warmup or (step + 1) % config.every or len(memory) == 0:
            continue
        for _ in range(config.updates):
            each = loss(network, frozen, memory.sample(config.batch, random))
            each, updates = gradient_step(network, each, optimizer, config.clip), updates + 1
            if updates % config.sync == 0:
                refresh(frozen, network, config.tau)
        yield {"step": step + 1, "loss": each, "epsilon": epsilon, "finished": finished}
        finished = []
