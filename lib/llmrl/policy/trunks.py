r"""Who pulls how hard on the weights: the actor's gradient and the critic's, side by side.

The two losses meet wherever they reach the same weights. In a shared trunk that is nearly everywhere, and what arrives
is their weighted sum: if one of the two is a hundred times longer, the other is hardly heard, whatever the optimizer
does afterwards. Left out: ways to mend it other than the weight of the loss.

Shapes: K learners, M weights of one learner.
"""

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.policy.actor_critic import actor_loss, critic_loss
from llmrl.policy.rollout import advantages, by_learner

PARTS = {"actor's trunk": "actor", "critic's trunk": "critic", "policy head": "policy_head", "value head": "value_head"}


def both_losses(network, rollout, config):
    """The actor's loss and the weighted critic's loss of a rollout, by name, one number per learner.  (K,) each"""
    adv, ret = advantages(rollout, config.gamma, config.lam)
    parts = (rollout.states, rollout.actions, adv, ret, rollout.live)
    states, actions, adv, ret, live = (by_learner(part, network.learners) for part in parts)
    dist, values = network(states)
    actor, critic = actor_loss(dist.logp(actions), adv), config.value_weight * critic_loss(values, ret)
    return {"actor's loss": masked_mean(actor, live, 1), "critic's loss": masked_mean(critic, live, 1)}


def wanted(loss, weights):
    """What a loss (K,) wants of these weights: its gradient, zeros where it does not reach.  -> (K, M)"""
    found = torch.autograd.grad(loss.sum(), weights, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([one.flatten(1) for one in found], 1)


def reach(network, rollout, config):
    """How long each loss's gradient is in each part of a network with one learner.  -> {loss: {part: length}}"""
    weights = {part: list(getattr(network, name).parameters()) for part, name in PARTS.items()}
    losses = both_losses(network, rollout, config)
    return {name: {part: wanted(loss, w).norm().item() for part, w in weights.items()} for name, loss in losses.items()}


def pulls(network, rollout, config):
    """What the actor's loss and the weighted critic's loss want of the actor's trunk.  -> two (K, M)

    With separate trunks the critic wants nothing of it.
    """
    trunk = list(network.actor.parameters())
    return tuple(wanted(loss, trunk) for loss in both_losses(network, rollout, config).values())
