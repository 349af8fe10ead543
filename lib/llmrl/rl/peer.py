"""Our settings in the words of stable-baselines3, and its networks as ours.

A peer agrees or it does not; both need the same dials, weights and transitions on either side. Its `train_freq`,
`gradient_steps` and `target_update_interval` are our every, updates and sync, the last counted in steps of the
environment. Its replay takes a truncated step for what it is when the environment's `info` says so.
Left out: everything of that library that DQN does not touch.
"""

import torch

from llmrl.rl.dqn import Config, Exploration
from llmrl.rl.q_networks import QNetwork

ZOO = Config(  # the settings of RL Baselines3 Zoo for CartPole-v1, with two hidden layers of 256
    steps=50_000, lr=2.3e-3, batch=64, warmup=1000, every=256, updates=128, sync=128, tau=1.0,
    epsilon=Exploration(1.0, 0.04, 8000),
)  # fmt: skip
ZOO_SIZES, ZOO_CAPACITY = (4, 256, 256, 2), 100_000


def their_dqn(env, sizes, config, capacity, seed, gamma=0.99):
    """stable-baselines3's DQN on a single environment, with our dials and its own start."""
    from stable_baselines3 import DQN

    return DQN(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": list(sizes[1:-1])},
        learning_rate=config.lr,
        batch_size=config.batch,
        buffer_size=capacity,
        learning_starts=config.warmup,
        train_freq=config.every,
        gradient_steps=config.updates,
        target_update_interval=config.sync * config.every // config.updates,
        tau=config.tau,
        gamma=gamma,
        max_grad_norm=config.clip,
        exploration_initial_eps=config.epsilon.start,
        exploration_final_eps=config.epsilon.end,
        exploration_fraction=config.epsilon.steps / config.steps,
        seed=seed,
        device="cpu",
    )


def learn(model, steps, every, look):
    """Let theirs learn, and look(step) after every so many steps; it stops early when look returns True."""

    def watch(*_):
        return model.num_timesteps % every != 0 or not look(model.num_timesteps)

    model.learn(steps, callback=watch, log_interval=10**9)


@torch.no_grad()
def give_weights(network, policy_part):
    """Copy our single learner into one of theirs: model.q_net, or model.q_net_target."""
    theirs = [layer for layer in policy_part.q_net if hasattr(layer, "weight")]
    for layer, linear in zip(network.layers, theirs, strict=True):
        linear.weight.copy_(layer.weight[0].T)
        linear.bias.copy_(layer.bias[0, 0])


@torch.no_grad()
def take_weights(policy_part):
    """Their network as ours."""
    theirs = [layer for layer in policy_part.q_net if hasattr(layer, "weight")]
    network = QNetwork((theirs[0].in_features, *(layer.out_features for layer in theirs)))
    for layer, linear in zip(network.layers, theirs, strict=True):
        layer.weight[0] = linear.weight.T
        layer.bias[0, 0] = linear.bias
    return network


def give_transitions(batch, buffer):
    """Put the transitions of our batch (one learner) into their replay buffer."""
    for b in range(batch.actions.shape[1]):
        state, after = batch.states[0, b].numpy(), batch.next_states[0, b].numpy()
        terminated, truncated = bool(batch.terminated[0, b]), bool(batch.truncated[0, b])
        action, reward = batch.actions[0, b].numpy()[None], batch.rewards[0, b].numpy()[None]
        about = [{"TimeLimit.truncated": truncated and not terminated}]
        buffer.add(state[None], after[None], action, reward, [terminated or truncated], about)


def their_step(model, batch):
    """One gradient step of theirs on exactly our batch (one learner), in its order."""
    import numpy as np
    from stable_baselines3.common.logger import configure

    size, buffer = batch.actions.shape[1], model.replay_buffer
    first = buffer.pos
    give_transitions(batch, buffer)
    model.set_logger(configure(format_strings=[]))
    buffer.sample = lambda size, env=None: buffer._get_samples(np.arange(first, first + size), env)
    model.train(gradient_steps=1, batch_size=size)
    del buffer.sample
