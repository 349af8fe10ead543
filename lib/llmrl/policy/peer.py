"""Our actor-critic in the words of stable-baselines3: weights, settings, a rollout, an update.

Two libraries can be compared when they hold the same weights and learn from the same steps. Its environments start anew
within the step that ended an episode and hand out the final state in `info`; ours do with the step after it, so that a
rollout of ours has dead steps and one of its has none. What both compute of the living steps is to be the same.
Left out: its algorithms with a replay buffer, which lesson 4.6 compares, and its distributions other than ours.

Shapes: T steps, N environments.
"""

import numpy as np
import torch

from llmrl.policy.heads import Gaussian, Softmax
from llmrl.policy.networks import ActorCritic


def _pairs(network, policy):
    """Our layers beside theirs."""
    layers = [*network.actor, *network.critic, network.policy_head, network.value_head]
    built = policy.mlp_extractor
    theirs = [layer for net in (built.policy_net, built.value_net) for layer in net if hasattr(layer, "weight")]
    return zip(layers, [*theirs, policy.action_net, policy.value_net], strict=True)


@torch.no_grad()
def to_sb3(network, policy):
    """Copy the weights of a network of ours with one learner and separate trunks into theirs: model.policy."""
    if network.shared or network.learners != 1:
        raise ValueError(
            f"theirs holds one learner with separate trunks, got {network.learners} with "
            f"shared={network.shared}: it has shared no trunk since version 1.8"
        )
    for ours, linear in _pairs(network, policy):
        linear.weight.copy_(ours.weight[0].T)
        linear.bias.copy_(ours.bias[0, 0])
    if network.log_std is not None:
        policy.log_std.copy_(network.log_std[0, 0])


@torch.no_grad()
def from_sb3(policy):
    """Their network as ours; tanh between the layers, as theirs has by default."""
    hidden = tuple(layer.out_features for layer in policy.mlp_extractor.policy_net if hasattr(layer, "weight"))
    inputs, head = policy.mlp_extractor.policy_net[0].in_features, Gaussian if hasattr(policy, "log_std") else Softmax
    network = ActorCritic(inputs, policy.action_net.out_features, hidden, head=head)
    for ours, linear in _pairs(network, policy):
        ours.weight[0] = linear.weight.T
        ours.bias[0, 0] = linear.bias
    if network.log_std is not None:
        network.log_std[0, 0] = policy.log_std
    return network


def their_a2c(env, config, seed, hidden=(64, 64)):
    """Their A2C with our dials, for an environment or a vector of its own making."""
    from stable_baselines3 import A2C

    return A2C(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": list(hidden)},
        n_steps=config.steps,
        gamma=config.gamma,
        gae_lambda=config.lam,
        learning_rate=config.lr,
        vf_coef=config.value_weight,
        ent_coef=config.entropy_weight,
        max_grad_norm=config.clip,
        seed=seed,
        device="cpu",
    )


def their_buffer(rewards, values, last_value, done, gamma, lam):
    """Advantages and returns by their rollout buffer.  The arguments of our gae -> adv, ret (T, N)"""
    from gymnasium.spaces import Box, Discrete
    from stable_baselines3.common.buffers import RolloutBuffer

    steps, n = rewards.shape
    buffer = RolloutBuffer(steps, Box(-1, 1, (1,)), Discrete(2), "cpu", lam, gamma, n)
    begun, done = np.zeros(n), done.double().numpy()
    for t in range(steps):
        buffer.add(np.zeros((n, 1)), np.zeros((n, 1)), rewards[t].numpy(), begun, values[t], torch.zeros(n))
        begun = done[t]
    buffer.compute_returns_and_advantage(last_value, done[-1])
    return torch.from_numpy(buffer.advantages), torch.from_numpy(buffer.returns)


def their_rollout(model):
    """A rollout of theirs, with what it did not keep: rewards as they were paid and the values of final states.

    -> (rewards, final_values, terminated, truncated), all (T, N); values, advantages and returns are in its buffer.
    """
    told = []

    def listen(found, _):
        """Write a step down before the value of a final state is added to its reward."""
        told.append((found["rewards"].copy(), found["dones"], found["infos"]))
        return True

    _, callback = model._setup_learn(10**9, listen)
    model.collect_rollouts(model.env, callback, model.rollout_buffer, model.n_steps)
    rewards, done = (torch.from_numpy(np.stack(part)) for part in list(zip(*told))[:2])
    truncated = torch.tensor([[about.get("TimeLimit.truncated", False) for about in infos] for *_, infos in told])
    final_values = torch.zeros_like(rewards)
    for t, n in done.nonzero().tolist():
        state = torch.as_tensor(told[t][2][n]["terminal_observation"])
        final_values[t, n] = model.policy.predict_values(state[None]).item()
    return rewards, final_values, done & ~truncated, truncated


def their_update(model, states, actions, adv, ret, old_logp=None, old_values=None):
    """One call of their train() on exactly these items (B, ...), in one batch."""
    from stable_baselines3.common.buffers import RolloutBufferSamples
    from stable_baselines3.common.logger import configure

    blank = torch.zeros_like(adv)
    old_logp, old_values = (blank if given is None else given for given in (old_logp, old_values))
    items = RolloutBufferSamples(states, actions, old_values, old_logp, adv, ret)
    model.set_logger(configure(format_strings=[]))
    model.rollout_buffer.get = lambda batch_size=None: iter([items])
    model.train()
    del model.rollout_buffer.get
