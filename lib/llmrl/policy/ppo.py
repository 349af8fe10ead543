r"""Proximal policy optimization: collect a little, learn from it many times (Schulman et al. 2017, arXiv:1707.06347).

The actor plays T steps in N environments. What it did, with what probability and how much better than expected, is a
buffer of T N items. Several epochs go through it in minibatches; each takes a step on the clipped surrogate, the
critic's error and the entropy. Then the buffer is thrown away, because the policy that filled it is gone. What the
equation leaves open (how to scale an advantage, whether the learning rate falls, ...) is kept apart, in `Details`, so
that each can be taken away. K learners may share the clock: a network with `learners` K plays N environments for each.
Left out: frames, recurrent policies, several machines.

Shapes: K learners, N environments each, T steps, M = T N items of a buffer, B items of a minibatch.
"""

from dataclasses import dataclass, replace

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.policy import dials
from llmrl.policy.rollout import advantages, by_learner, collect, fresh_start
from llmrl.policy.surrogate import clip
from llmrl.rl.dqn import clip_each
from llmrl.rlhf import kl


@dataclass(frozen=True)
class Config:
    """The dials of the equation; the defaults solve CartPole with eight environments."""

    steps: int = 16_384  # of the environments of one learner, together
    horizon: int = 128  # T
    batch: int = 64  # B, of one learner
    epochs: int = 10
    lr: float = 1e-3
    clip: float = 0.2  # epsilon
    gamma: float = 0.99
    lam: float = 0.95
    critic: float = 0.5  # weight of the critic's squared error
    entropy: float = 0.0  # weight of the entropy

    def __post_init__(self):
        for name in ("steps", "horizon", "batch", "epochs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}: it counts something")
        if not self.lr > 0 or not 0 <= self.clip < 1 or not (0 <= self.gamma <= 1 and 0 <= self.lam <= 1):
            raise ValueError(
                f"lr must lie above 0, clip in [0, 1) and gamma and lam in [0, 1], got lr {self.lr}, clip {self.clip}, "
                f"gamma {self.gamma}, lam {self.lam}"
            )


@dataclass(frozen=True)
class Details:
    """What the equation leaves open. False, None and inf take a detail away."""

    normalise: bool = True  # advantages to mean 0 and deviation 1, in every minibatch
    value_clip: float | None = None  # how far the critic may move from its old value
    anneal: bool = True  # the learning rate falls in a straight line to 0
    bootstrap: bool = True  # a truncated step keeps the value of what follows
    longest: float = 0.5  # gradient; inf: any
    shuffle: bool = True  # the buffer before every epoch


@dataclass(frozen=True, eq=False)
class Batch:
    """Items of a buffer, learner by learner: all (K, B), states (K, B, D)."""

    states: torch.Tensor
    actions: torch.Tensor
    old_logp: torch.Tensor
    old_values: torch.Tensor
    adv: torch.Tensor
    ret: torch.Tensor
    live: torch.Tensor

    def at(self, index):
        """The items at index (K, B'), a row per learner."""
        rows = torch.arange(len(index))[:, None]
        return Batch(*(getattr(self, name)[rows, index] for name in self.__dataclass_fields__))


def prepare(rollout, config, details, learners=1):
    """Judge a rollout and lay it out for minibatches.  -> Batch of (K, M)

    Without `bootstrap` a time limit is taken for an end.
    """
    if not details.bootstrap:
        rollout = replace(rollout, terminated=rollout.done, truncated=torch.zeros_like(rollout.done))
    adv, ret = advantages(rollout, config.gamma, config.lam)
    kept = (rollout.states, rollout.actions, rollout.logp, rollout.values, adv, ret, rollout.live)
    return Batch(*(by_learner(x, learners) for x in kept))


def normalised(adv, live):
    """Mean 0 and sample deviation 1 over what is live, a learner at a time.  (K, B)"""
    centred = adv - masked_mean(adv, live, -1)[:, None]
    count = live.sum(-1, keepdim=True)
    variance = masked_mean(centred.square(), live, -1)[:, None] * count / (count - 1).clamp(min=1)
    return centred / (variance.sqrt() + 1e-8)


def value_loss(values, old_values, ret, nearest=None):
    r"""$(V-R)^2$; with `nearest` the larger of it and the same for V kept within that of its old value.  any shape"""
    error = (values - ret).square()
    if nearest is None:
        return error
    kept = old_values + (values - old_values).clamp(-nearest, nearest)
    return torch.maximum(error, (kept - ret).square())


def loss(network, batch, config, details):
    """The three terms in one, and the dials of this minibatch.  -> (K,), {name: (K,)}"""
    dist, values = network(batch.states)
    logp, live = dist.logp(batch.actions), batch.live
    ratio = (logp - batch.old_logp).exp()
    adv = normalised(batch.adv, live) if details.normalise else batch.adv
    actor = -clip(ratio, adv, config.clip, config.clip)
    critic = value_loss(values, batch.old_values, batch.ret, details.value_clip)
    entropy = dist.entropy()
    bonus = config.entropy * entropy if config.entropy else 0.0  # nothing to differentiate
    each = masked_mean(actor + config.critic * critic - bonus, live, -1)
    with torch.no_grad():
        outside = dials.outside(ratio, config.clip, config.clip).float()
        k1, k3 = kl.k1(batch.old_logp, logp), kl.k3(batch.old_logp, logp)
        items = {"actor": actor, "critic": critic, "entropy": entropy, "k1": k1, "k3": k3, "clipped": outside}
        means = torch.stack(list(items.values()))  # (6, K, B)
        return each, dict(zip(items, masked_mean(means, live.expand_as(means), -1)))


def order(learners, items, generator, shuffle=True):
    """Which item comes when, a row per learner.  -> (K, M)"""
    if not shuffle:
        return torch.arange(items).expand(learners, -1)
    return torch.rand(learners, items, generator=generator).argsort(-1)


def learn(network, optimizer, full, config, details, generator, loss=loss):
    """All epochs on one buffer.  -> {dial: (updates, K)}"""
    seen, parameters = [], list(network.parameters())
    for _ in range(config.epochs):
        for index in order(*full.adv.shape, generator, details.shuffle).split(config.batch, 1):
            each, found = loss(network, full.at(index), config, details)
            optimizer.zero_grad()
            each.sum().backward()
            length = clip_each(parameters, details.longest)
            optimizer.step()
            seen.append(found | {"gradient": length})
    return {name: torch.stack([found[name] for found in seen]) for name in seen[0]}


def train(envs, network, config, generator, details=Details(), prepare=prepare, loss=loss):
    """PPO: yield a record after every buffer.

    A record's dials are (updates, K), but `explained`, of the critic before the update, is (K,); `finished` holds
    (environment, return, steps) of the episodes that ended.
    """
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, eps=1e-5, fused=True)
    start, learners, steps = fresh_start(envs, int(torch.randint(2**31, (), generator=generator))), network.learners, 0
    each_time = config.horizon * len(start.over) // learners  # steps of one learner's environments
    while steps < config.steps:
        if details.anneal:
            optimizer.param_groups[0]["lr"] = config.lr * (1 - steps / config.steps)
        rollout = collect(envs, network, start, config.horizon, generator)
        start, steps = rollout.last, steps + each_time
        full = prepare(rollout, config, details, learners)
        explained = dials.explained_variance(full.old_values, full.ret, full.live)
        seen = learn(network, optimizer, full, config, details, generator, loss)
        yield {"step": steps, **seen, "explained": explained, "finished": rollout.finished}
