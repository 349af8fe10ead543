r"""A rollout: so many steps of many environments, played by one policy and then learned from once.

The environments start anew in the step after an end: that step ignores the action and pays nothing, so it is dead, and
`live` is False there. What the critic sees in it is the state the episode ended in; values[t+1] is therefore the value
of the final state when step t was the last, which is what a truncated episode still needs. A rollout ends where its
steps end, mostly in the middle of episodes: the next one starts where it stopped.
Left out: memory on a GPU, and environments that reset themselves within the last step.

Shapes: T steps, N environments, D numbers per state, K learners with N/K environments each.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from llmrl.policy.advantages import bootstrapped, gae
from llmrl.rl.spaces import refuse_pool


@dataclass(frozen=True, eq=False)
class Start:
    """Where a rollout begins: what is seen (N, D), whose episode is over (N,), what it has paid and how long it is."""

    states: np.ndarray
    over: np.ndarray
    score: np.ndarray
    age: np.ndarray


@dataclass(frozen=True, eq=False)
class Rollout:
    """T steps of N environments; all (T, N), states (T, N, D), last_value (N,).

    truncated holds the ends by the clock alone. finished: (environment, return, steps) of the episodes that ended.
    """

    states: torch.Tensor
    actions: torch.Tensor
    logp: torch.Tensor
    values: torch.Tensor
    rewards: torch.Tensor
    terminated: torch.Tensor
    truncated: torch.Tensor
    live: torch.Tensor
    last_value: torch.Tensor
    last: Start
    finished: list = field(repr=False)

    @property
    def done(self):
        """The trace is cut behind this step, for whatever reason.  (T, N)"""
        return self.terminated | self.truncated

    @property
    def next_values(self):
        """The value of the state each step led to, the final one of an episode too.  (T, N)"""
        return torch.cat([self.values[1:], self.last_value[None]])


def fresh_start(envs, seed):
    """Reset all environments.  -> Start"""
    refuse_pool(envs)
    states, _ = envs.reset(seed=seed)
    n = len(states)
    return Start(states, np.zeros(n, bool), np.zeros(n), np.zeros(n, int))


@torch.no_grad()
def collect(envs, network, start, steps, generator):
    """Play so many steps with actions drawn from the policy.  -> Rollout; its .last is where the next one starts"""
    if steps < 1:
        raise ValueError(f"a rollout has 1 step or more, got {steps}")
    seen, over, score, age = start.states, start.over, start.score.copy(), start.age.copy()
    states, acted, told, finished = [], [], [], []
    kind = network.policy_head.weight.dtype
    for _ in range(steps):
        states.append(torch.tensor(seen, dtype=kind))
        acted.append(network.policy(states[-1]).sample(generator))
        seen, rewards, terminated, truncated, _ = envs.step(acted[-1].numpy())
        told.append((rewards, terminated, truncated & ~terminated, ~over))
        score, age, over = score + rewards, age + ~over, terminated | truncated
        if over.any():
            finished += [(int(n), float(score[n]), int(age[n])) for n in np.flatnonzero(over)]
            score[over], age[over] = 0.0, 0
    states, actions = torch.stack(states), torch.stack(acted)
    rewards, *ends = (torch.from_numpy(np.stack(part)) for part in zip(*told))
    logp, values = _in_hindsight(network, states, actions)
    last_value = network.value(torch.tensor(seen, dtype=kind))
    last = Start(seen, over, score, age)
    return Rollout(states, actions, logp, values, rewards.to(kind), *ends, last_value, last, finished)


def _in_hindsight(network, states, actions):
    """The log-probability of all actions and the value of all states, in one go.  -> two (T, N)"""
    dist, values = network(states.transpose(0, 1))  # (N, T): learner after learner
    return dist.logp(actions.transpose(0, 1)).T.contiguous(), values.T.contiguous()


def advantages(rollout, gamma, lam):
    """GAE over a rollout and the returns a critic learns from, time limits bootstrapped.  -> adv, ret (T, N)"""
    rewards = bootstrapped(rollout.rewards, rollout.truncated, rollout.next_values, gamma)
    adv = gae(rewards, rollout.values, rollout.last_value, rollout.done, gamma, lam)
    return adv, adv + rollout.values


def by_learner(x, learners=1):
    """Each learner's share of a rollout, its steps and environments in one row.  (T, K E, ...) -> (K, T E, ...)"""
    return x.unflatten(1, (learners, -1)).transpose(0, 1).flatten(1, 2)


@torch.no_grad()
def examine(network, envs, seed):
    """The return of one episode in every environment, each played by the most likely actions.  -> (N,)"""
    states, _ = envs.reset(seed=seed)
    kind = network.policy_head.weight.dtype
    alive, score = np.ones(len(states), bool), np.zeros(len(states))
    while alive.any():
        actions = network.policy(torch.tensor(states, dtype=kind)).mode()
        states, rewards, terminated, truncated, _ = envs.step(actions.numpy())
        score += np.where(alive, rewards, 0.0)
        alive &= ~(terminated | truncated)
    return score
