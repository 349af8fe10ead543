r"""Advantage actor-critic (A2C): play a few steps in many environments, learn from them once, throw them away.

The actor is pushed towards what went better than the critic expected, $-\log\pi(a\mid s)\,\hat A$ with $\hat A$ as a
fixed number; the critic towards the return that was seen, $(V(s)-\hat R)^2$ with $\hat R$ fixed as well. A bonus for
entropy keeps the actor from being sure too early. This is the synchronous form of A3C (Mnih et al. 2016,
arXiv:1602.01783): all environments wait for one update. K learners share nothing and cost little more than one.
Left out: a schedule for the step size.

Shapes: T steps, N environments, K learners with N/K environments each, B = T N/K steps of one learner.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.policy.rollout import advantages, by_learner, collect, fresh_start
from llmrl.rl.dqn import clip_each


@dataclass(frozen=True)
class Config:
    """The dials of A2C, set as stable-baselines3 sets them."""

    updates: int = 1000
    steps: int = 5  # of every environment, per update: T
    gamma: float = 0.99
    lam: float = 1.0
    lr: float = 7e-4
    value_weight: float = 0.5
    entropy_weight: float = 0.0
    clip: float = 0.5  # longest gradient

    def __post_init__(self):
        if min(self.updates, self.steps) < 1 or min(self.lr, self.clip) <= 0:
            raise ValueError(
                f"updates and steps must be 1 or more, lr and clip above 0, got updates {self.updates}, "
                f"steps {self.steps}, lr {self.lr}, clip {self.clip}"
            )


def actor_loss(logp, adv):
    r"""$-\log\pi(a\mid s)\,\hat A$, the advantage a fixed number, which carries no gradient to the critic."""
    return -logp * adv.detach()


def critic_loss(values, ret):
    r"""$(V(s)-\hat R)^2$, the return a fixed number: the gradient moves V(s) alone."""
    return (values - ret.detach()) ** 2


def a2c_loss(logp, values, entropy, adv, ret, config):
    """Both losses and the bonus for entropy, weighted, step by step.  All of one shape"""
    actor, critic = actor_loss(logp, adv), critic_loss(values, ret)
    return actor + config.value_weight * critic - config.entropy_weight * entropy


def rmsprop(network, lr):
    """RMSprop with the constants of the A3C paper's successors."""
    return torch.optim.RMSprop(network.parameters(), lr=lr, alpha=0.99, eps=1e-5)


def gradient(network, rollout, config):
    """Leave the gradient of a whole rollout in the network, cut to length.  -> what each learner lost, by name, (K,)"""
    adv, ret = advantages(rollout, config.gamma, config.lam)
    parts = (rollout.states, rollout.actions, adv, ret, rollout.live)
    states, actions, adv, ret, live = (by_learner(part, network.learners) for part in parts)  # (K, B, ...)
    dist, values = network(states)
    logp, entropy = dist.logp(actions), dist.entropy()
    network.zero_grad()
    masked_mean(a2c_loss(logp, values, entropy, adv, ret, config), live, 1).sum().backward()
    clip_each(list(network.parameters()), config.clip)
    lost = {"actor": actor_loss(logp, adv), "critic": critic_loss(values, ret), "entropy": entropy}
    return {name: masked_mean(each.detach(), live, 1) for name, each in lost.items()}


def train(envs, network, config, generator, optimizer=None):
    """A2C: yield a record after every update, with the rollout it learned from.

    Its `step` counts steps of the environments, all of them together.
    """
    optimizer = optimizer or rmsprop(network, config.lr)
    start = fresh_start(envs, int(torch.randint(2**31, (), generator=generator)))
    for n in range(config.updates):
        rollout = collect(envs, network, start, config.steps, generator)
        lost, start = gradient(network, rollout, config), rollout.last
        optimizer.step()
        yield {"step": (n + 1) * rollout.live.numel(), **lost, "rollout": rollout}
