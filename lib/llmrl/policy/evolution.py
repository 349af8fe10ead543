r"""From policy gradient to PPO: one loop, and the update as its argument.

Every method here plays the same number of steps, takes the same advantages and fits the same critic. What differs is
what it does with one batch. `Ascent` climbs an objective of the ratio by gradient steps: one step on $\rho A$ is the
policy gradient, many steps on it are what goes too far, many on the clipped or the penalised objective are PPO.
`Natural` steps along $F^{-1}g$, `Trusted` shortens that step until it obeys: TRPO.
How far each update really went is measured by the loop, alike for all.
Left out: minibatches, an entropy bonus, step sizes that fall: lesson 5.4 has them.

Shapes: T steps, N environments, K learners with N/K environments each, B = T N/K steps of one learner.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.policy import trpo
from llmrl.policy.dials import outside
from llmrl.policy.penalty import adapt, penalised
from llmrl.policy.rollout import advantages, by_learner, collect, fresh_start
from llmrl.policy.surrogate import clip


@dataclass(frozen=True)
class Plan:
    """What all methods share."""

    updates: int = 40
    steps: int = 64  # of every environment, per update: T
    gamma: float = 0.99
    lam: float = 0.95
    critic_lr: float = 3e-3
    critic_steps: int = 80
    critic_batch: int = 64  # states of each learner per step of the critic


@dataclass(frozen=True, eq=False)
class Batch:
    """One collection, learner by learner.  states (K, B, D), the rest (K, B); adv has mean 0 and deviation 1"""

    states: torch.Tensor
    actions: torch.Tensor
    adv: torch.Tensor
    ret: torch.Tensor
    live: torch.Tensor


def batch(rollout, plan, learners):
    """What one update learns from."""
    parts = (rollout.states, rollout.actions, *advantages(rollout, plan.gamma, plan.lam), rollout.live)
    states, actions, adv, ret, live = (by_learner(part, learners) for part in parts)
    centred = adv - masked_mean(adv, live, 1)[:, None]
    deviation = masked_mean(centred**2, live, 1)[:, None].sqrt()
    return Batch(states, actions, centred / (deviation + 1e-8), ret, live)


def actor_parameters(network):
    """What the policy depends on, of a network whose critic has a trunk of its own."""
    if network.shared:
        raise ValueError("the critic must have a trunk of its own: fitting it would move the policy behind our back")
    parts = [*network.actor.parameters(), *network.policy_head.parameters()]
    return parts if network.log_std is None else [*parts, network.log_std]


def plain(ratio, adv, kl):
    r"""$\rho A$: its first step is the policy gradient."""
    return ratio * adv


class Clipped:
    """PPO-Clip's objective."""

    def __init__(self, epsilon=0.2):
        self.epsilon = epsilon

    def __call__(self, ratio, adv, kl):
        return clip(ratio, adv, self.epsilon, self.epsilon)


class Penalised:
    """PPO-Penalty's objective, and the price it sets after every update; adaptive=False leaves the price alone."""

    def __init__(self, target=0.01, beta=1.0, adaptive=True):
        self.target, self.beta, self.adaptive = target, torch.as_tensor(beta, dtype=torch.float32), adaptive

    def __call__(self, ratio, adv, kl):
        return penalised(ratio, adv, kl, self.beta[..., None])

    def after(self, kl):
        if self.adaptive:
            self.beta = adapt(self.beta, kl, self.target)


class Ascent:
    """Adam, so many steps on the whole batch."""

    def __init__(self, network, objective=plain, lr=1e-3, passes=10):
        self.network, self.objective, self.passes = network, objective, passes
        self.optimizer = torch.optim.Adam(actor_parameters(network), lr=lr, eps=1e-5, fused=True)

    def __call__(self, batch, old):
        old_logp = old.logp(batch.actions)
        for _ in range(self.passes):
            dist = self.network.policy(batch.states)
            ratio = (dist.logp(batch.actions) - old_logp).exp()
            objective = self.objective(ratio, batch.adv, old.kl(dist))
            self.optimizer.zero_grad()
            (-masked_mean(objective, batch.live, 1)).sum().backward()
            self.optimizer.step()
        if isinstance(self.objective, Penalised):
            with torch.no_grad():
                self.objective.after(masked_mean(old.kl(self.network.policy(batch.states)), batch.live, 1))


class Trusted:
    """TRPO's step; natural=True takes the whole natural step, whatever it leads to."""

    def __init__(self, network, config=trpo.TrustRegion(), natural=False):
        self.network, self.config, self.natural = network, config, natural

    def __call__(self, batch, old):
        parameters, policy = actor_parameters(self.network), self.network.policy
        if not self.natural:
            return trpo.step(policy, parameters, batch.states, batch.actions, batch.adv, batch.live, self.config)

        def look():
            return trpo.gain_and_kl(policy(batch.states), old, batch.actions, batch.adv, batch.live)

        full = trpo.natural_gradient(look, parameters, self.config)
        trpo.assign(parameters, trpo.flat(parameters) + full)


def fit_critic(network, optimizer, batch, plan, generator):
    """So many steps towards the returns that were seen, each on a few states."""
    for _ in range(plan.critic_steps):
        some = torch.randint(batch.ret.shape[1], (plan.critic_batch,), generator=generator)
        error = (network.value(batch.states[:, some]) - batch.ret[:, some]) ** 2
        optimizer.zero_grad()
        masked_mean(error, batch.live[:, some], 1).sum().backward()
        optimizer.step()


@torch.no_grad()
def distance(network, old, batch):
    """How far an update went: mean and largest KL over states, share of ratios outside 0.8 to 1.2.  (K,) each"""
    dist = network.policy(batch.states)
    kl = old.kl(dist)
    ratio = (dist.logp(batch.actions) - old.logp(batch.actions)).exp()
    beyond = outside(ratio, 0.2, 0.2).to(kl.dtype)
    largest = torch.where(batch.live, kl, 0.0).amax(1)
    return {"kl": masked_mean(kl, batch.live, 1), "largest": largest, "outside": masked_mean(beyond, batch.live, 1)}


def train(envs, network, improve, plan, generator):
    """Yield a record after every update.  `step` counts one learner's steps; improve(batch, old) moves the actor"""
    critic = [*network.critic.parameters(), *network.value_head.parameters()]
    optimizer = torch.optim.Adam(critic, lr=plan.critic_lr, fused=True)
    start = fresh_start(envs, int(torch.randint(2**31, (), generator=generator)))
    for n in range(plan.updates):
        rollout = collect(envs, network, start, plan.steps, generator)
        now, start = batch(rollout, plan, network.learners), rollout.last
        old = trpo.remembered(network.policy(now.states))
        improve(now, old)
        far = distance(network, old, now)
        fit_critic(network, optimizer, now, plan, generator)
        yield {"step": (n + 1) * now.live.shape[1], **far, "finished": rollout.finished}
