r"""Faults planted in PPO, each a line that is easily written, so that one may learn what the dials say of it.

None of them stops the program; the curve just stays low, or rises and one never knows that it could have risen higher.
A fault changes dials of the run, the buffer on its way to the minibatches, or the loss. A run's dials, one number each,
are its signature, and a run is told by the fault whose known runs have the nearest signature: distances are counted in
deviations within a fault, and the score is not looked at. Left out: faults of the environment itself.

Shapes: as in llmrl.policy.ppo.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from llmrl.policy import ppo


@dataclass(frozen=True)
class Fault:
    """What is wrong, in words and in code."""

    says: str
    config: dict = field(default_factory=dict)  # what it changes of the run's dials
    prepare: Callable = ppo.prepare
    loss: Callable = ppo.loss


def rewards_large(rollout, *rest):
    """A hundred for every one."""
    return ppo.prepare(replace(rollout, rewards=100 * rollout.rewards), *rest)


def ends_ignored(rollout, *rest):
    """Values flow back over the ends of episodes."""
    nowhere = torch.zeros_like(rollout.terminated)
    return ppo.prepare(replace(rollout, terminated=nowhere, truncated=nowhere), *rest)


def sign_flipped(rollout, *rest):
    """What was better than expected is made rarer."""
    full = ppo.prepare(rollout, *rest)
    return replace(full, adv=-full.adv)


def states_shifted(rollout, *rest):
    """The state behind a step is stored as the state before it."""
    return ppo.prepare(replace(rollout, states=rollout.states.roll(-1, 0)), *rest)


def old_logp_renewed(network, batch, config, details):
    """The old log-probabilities are computed with the present weights, in every minibatch."""
    with torch.no_grad():
        fresh = network.policy(batch.states).logp(batch.actions)
    return ppo.loss(network, replace(batch, old_logp=fresh), config, details)


FAULTS = {
    "none": Fault("nothing is wrong"),
    "large steps": Fault("the learning rate is 0.03, 30 times what it should be", {"lr": 0.03}),
    "large rewards": Fault(
        "rewards are a hundred times as large, and the critic has to learn it", prepare=rewards_large
    ),
    "sign": Fault("the advantage has the wrong sign", prepare=sign_flipped),
    "old = new": Fault("old log-probabilities are renewed in every minibatch", loss=old_logp_renewed),
    "ends": Fault("ends of episodes are ignored", prepare=ends_ignored),
    "no critic": Fault("the critic's loss has weight 0", {"critic": 0.0}),
    "entropy": Fault("the entropy bonus has weight 1, where 0 to 0.01 is usual", {"entropy": 1.0}),
    "shift": Fault("states are stored one step late", prepare=states_shifted),
}


def signature(records):
    """What the dials say of a run, one number each: means over its buffers.  records -> {dial: (K,)}

    `first k3` is k3 before the first step on a buffer, `k3` after the last; the critic's error is of the first epoch.
    """

    def mean(pick):
        return torch.stack([pick(r) for r in records]).nanmean(0)

    return {
        "first k3": mean(lambda r: r["k3"][0]),
        "k3": mean(lambda r: r["k3"][-1]),
        "k1": mean(lambda r: r["k1"][-1]),
        "clipped": mean(lambda r: r["clipped"].mean(0)),
        "entropy": mean(lambda r: r["entropy"][-1]),
        "explained": mean(lambda r: r["explained"]),
        "critic": mean(lambda r: r["critic"][0]),
        "gradient": mean(lambda r: r["gradient"].mean(0)),
    }


MANY = ("first k3", "k3", "critic", "gradient")  # dials that range over powers of ten
FEW = ("clipped", "entropy", "explained")


def features(found):
    """A signature as a row of numbers.  {dial: (K,)} -> (K, 7)"""
    found = {dial: torch.as_tensor(values) for dial, values in found.items()}
    return torch.stack([(found[d] + 1e-6).log10() for d in MANY] + [found[d] for d in FEW], -1)


def nearest(found, known):
    """The fault each run is told to have.  found {dial: (K,)}, known {fault: {dial: (runs,)}} -> K names"""
    rows = [features(of) for of in known.values()]  # (runs, 7) each
    centres = torch.stack([row.mean(0) for row in rows])
    within = torch.cat([row - row.mean(0) for row in rows]).std(0)
    far = ((features(found)[:, None] - centres) / within).square().sum(-1)  # (K, faults)
    return [list(known)[n] for n in far.argmin(-1)]
