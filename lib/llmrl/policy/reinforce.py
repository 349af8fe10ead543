r"""REINFORCE: play whole episodes, then make what was done more likely, the more so the more followed.

$$\nabla J=\mathbb E\Big[\sum_t\nabla\log\pi(a_t|s_t)\,w_t\Big],\qquad\text{loss}=-\sum_t\log\pi(a_t|s_t)\,w_t$$

with the weight $w_t=G_t-b_t$, the return less a baseline (Williams 1992). Playing needs no gradients: states, actions
and rewards are written down, and the log-probabilities are computed again, with gradients, when the episode is over.
The network is a stack of N learners that share nothing but the clock (rl.stacked), each with E environments of its own;
its outputs are read as scores of actions. The weight $\gamma^t$ of the theorem is left out, as nearly everywhere. An
episode that a time limit cuts has a return that nobody saw to the end: without a critic nothing can stand in for the
rest, so the limit is part of the task.
Left out: a learned value as the baseline (an actor and a critic), several updates on the same episodes.

Shapes: T steps, N learners, E environments each, D numbers per state, A actions.
"""

from dataclasses import dataclass

import numpy as np
import torch

from llmrl.policy.baseline import sibling_mean
from llmrl.policy.heads import Softmax
from llmrl.rl.returns import returns


@dataclass(frozen=True)
class Config:
    """The dials of a run."""

    updates: int = 100
    lr: float = 0.01
    gamma: float = 0.99
    baseline: bool = True  # what the siblings earned from the same step on
    entropy: float = 0.0  # weight of an entropy bonus


@dataclass(frozen=True)
class Played:
    """One episode of every environment; what follows an end is dead and pays nothing."""

    states: torch.Tensor  # (T, N, E, D)
    actions: torch.Tensor  # (T, N, E)
    rewards: torch.Tensor  # (T, N, E)
    live: torch.Tensor  # (T, N, E) bool


def reinforce(logp, weights, live):
    r"""$-\sum_t\log\pi(a_t|s_t)\,w_t$ over the steps that were played: a loss per episode.  all (T, ...) -> (...)

    The weights are data: no gradient flows through them.
    """
    if not logp.requires_grad:
        raise ValueError(
            "logp carries no gradient, so nothing could be learned from it: play under no_grad, then compute the "
            "log-probabilities of the actions taken once more, outside"
        )
    weights = torch.where(live, weights.detach(), 0.0)  # before the product: in its gradient nan times 0 is nan
    return -(torch.where(live, logp, 0.0) * weights).sum(0)


@torch.no_grad()
def play_episodes(network, envs, generator, seed, head=Softmax):
    """Every environment plays its first episode to the end.  -> Played"""
    states, _ = envs.reset(seed=seed)
    learners = network.learners
    if len(states) % learners:
        raise ValueError(
            f"{len(states)} environments cannot be shared evenly by {learners} learners: make {learners} times as many "
            f"as each is to play"
        )
    alive, rows = np.ones(len(states), bool), []
    while alive.any():
        seen = torch.from_numpy(states).unflatten(0, (learners, -1))
        actions = head(network(seen)).sample(generator)
        states, rewards, terminated, truncated, _ = envs.step(actions.flatten(0, 1).numpy())
        rows.append((seen, actions, np.where(alive, rewards, 0.0), alive))
        alive = alive & ~(terminated | truncated)
    seen, actions, rewards, live = zip(*rows)
    rewards, live = (torch.from_numpy(np.stack(x)).unflatten(1, (learners, -1)) for x in (rewards, live))
    return Played(torch.stack(seen), torch.stack(actions), rewards.float(), live)


def distribution(network, states, head=Softmax):
    """What the network would do in every state that was met, with gradients.  states (T, N, E, D)"""
    steps = len(states)
    rows = states.transpose(0, 1).flatten(1, 2)  # (N, T E, D)
    return head(network(rows).unflatten(1, (steps, -1)).transpose(0, 1))  # (T, N, E, A)


def train(network, envs, config, generator, head=Softmax):
    """Learn update by update.  Yields update, steps so far (N,) and returns (N, E) of the episodes just played."""
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr)
    steps = torch.zeros(network.learners, dtype=torch.long)
    for update in range(1, config.updates + 1):
        seed = int(torch.randint(2**31, (), generator=generator))
        played = play_episodes(network, envs, generator, seed, head)
        ret = returns(played.rewards, torch.zeros_like(played.live), config.gamma)
        weights = ret - sibling_mean(ret, played.live) if config.baseline else ret
        dist = distribution(network, played.states, head)
        loss = reinforce(dist.logp(played.actions), weights, played.live).mean(-1)  # (N,)
        if config.entropy:
            loss = loss - config.entropy * torch.where(played.live, dist.entropy(), 0.0).sum(0).mean(-1)
        optimizer.zero_grad()
        loss.sum().backward()
        optimizer.step()
        steps = steps + played.live.sum((0, 2))
        yield {"update": update, "steps": steps, "returns": played.rewards.sum(0)}
