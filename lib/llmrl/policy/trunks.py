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


def pulls(network, rollout, config):
    """What the actor's loss and the weighted critic's loss want of the actor's trunk.  -> two (K, M)

    With separate trunks the critic wants nothing of it.
    """
    adv, ret = advantages(rollout, config.gamma, config.lam)
    parts = (rollout.states, rollout.actions, adv, ret, rollout.live)
    states, actions, adv, ret, live = (by_learner(part, network.learners) for part in parts)
    dist, values = network(states)
    trunk = list(network.actor.parameters())
    found = []
    for loss in (actor_loss(dist.logp(actions), adv), config.value_weight * critic_loss(values, ret)):
        total = masked_mean(loss, live, 1).sum()
        wanted = torch.autograd.grad(total, trunk, retain_graph=True, allow_unused=True, materialize_grads=True)
        found.append(torch.cat([one.flatten(1) for one in wanted], 1))
    return tuple(found)
