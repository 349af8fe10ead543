"""PPO on CartPole: ours against the PPO of stable-baselines3 with the same dials; GAE against its rollout buffer."""

from dataclasses import replace
from itertools import count

import numpy as np
import torch

from bench.contest import Contest, agree, row
from llmrl.policy import peer, ppo, ppo_peer
from llmrl.policy.advantages import gae
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import collect, examine, fresh_start
from llmrl.seeds import rng
from llmrl.toy.cart_pole import SCALE, cart_poles

CONFIG, CARTS, ENOUGH = ppo.Config(), 8, 475  # the dials of both sides, with which both learn quickest
ONCE = replace(CONFIG, batch=256, epochs=1)


def our_run(config, seed):
    """A run of ours: its records, and the network they change."""
    network = orthogonal_(ActorCritic(4, 2, generator=rng(seed, "bench")), rng(seed, "orthogonal"))
    return ppo.train(cart_poles(CARTS, scale=SCALE), network, config, rng(seed, "run")), network


def their_run(config, seed):
    """The same dials in stable-baselines3."""
    return ppo_peer.their_ppo(ppo_peer.their_carts(CARTS, seed, SCALE), config, seed)


def same_update():
    """One update on 256 live steps: the largest difference between any two weights afterwards."""
    envs, random = cart_poles(CARTS, limit=15, scale=SCALE), rng(0, "bench")
    network = ActorCritic(4, 2, generator=random)
    full = ppo.prepare(collect(envs, network, fresh_start(envs, 0), 64, random), ONCE, ppo.Details())
    full = full.at(full.live[0].nonzero().T[:, :256])
    model = ppo_peer.their_ppo(ppo_peer.their_carts(CARTS, 0, SCALE), ONCE, 0, ppo.Details(anneal=False))
    peer.to_sb3(network, model.policy)
    peer.their_update(
        model, full.states[0], full.actions[0], full.adv[0], full.ret[0], full.old_logp[0], full.old_values[0]
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=ONCE.lr, eps=1e-5, fused=True)
    ppo.learn(network, optimizer, full, ONCE, ppo.Details(), random)
    pairs = zip(network.parameters(), peer.from_sb3(model.policy).parameters())
    return max((a - b).abs().max().item() for a, b in pairs)


@row("ppo.steps", threads=(1,))  # networks this small do not divide among threads
def steps(quick):
    """Steps of the environments per second, ten epochs on every buffer among them."""
    agree("weights after an update", same_update(), 0.0)
    config = replace(CONFIG, steps=1024 if quick else 3072)
    ours = lambda: [None for _ in our_run(config, 0)[0]]  # noqa: E731
    theirs = lambda: their_run(config, 0).learn(config.steps, log_interval=10**9)  # noqa: E731
    return Contest(ours, theirs, config.steps, "steps/s", aim=1.5)


def our_seconds(seed, enough):
    """Train until twenty greedy episodes score enough."""
    records, network = our_run(CONFIG, seed)
    exam = cart_poles(20, scale=SCALE)
    for record in records:
        if examine(network, exam, seed).mean() >= enough:
            return record["step"]


def their_seconds(seed, enough):
    model, exam = their_run(CONFIG, seed), cart_poles(20, scale=SCALE)

    def look(_):
        return examine(peer.from_sb3(model.policy), exam, seed).mean() >= enough

    ppo_peer.learn(model, CONFIG.steps, look)


@row("ppo.solved", threads=(1,))
def solved(quick):
    """Runs per second until an examination of twenty episodes scores 475; every round has three new seeds."""
    agree("weights after an update", same_update(), 0.0)
    ours, theirs, enough = count(), count(), 50 if quick else ENOUGH
    note = "three runs until 475; how many steps they take is luck"
    return Contest(
        lambda: [our_seconds(next(ours), enough) for _ in range(3)],
        lambda: [their_seconds(next(theirs), enough) for _ in range(3)],
        3000,
        "mruns/s",
        1.0,
        note,
    )


@row("ppo.gae", threads=(1,))
def advantages(quick):
    """Advantages of 128 steps of eight environments per second, and the returns from them."""
    from gymnasium.spaces import Box, Discrete
    from stable_baselines3.common.buffers import RolloutBuffer

    shape, random = (CONFIG.horizon, CARTS), rng(0, "gae")
    rewards, values = (torch.randn(shape, generator=random) for _ in range(2))
    last, done = torch.randn(CARTS, generator=random), torch.rand(shape, generator=random) < 0.05
    agree("advantages", largest(rewards, values, last, done), 0.0)
    theirs = RolloutBuffer(CONFIG.horizon, Box(-1, 1, (1,)), Discrete(2), "cpu", CONFIG.lam, CONFIG.gamma, CARTS)
    theirs.rewards, theirs.values = rewards.numpy(), values.numpy()
    theirs.episode_starts = np.concatenate([np.zeros((1, CARTS)), done[:-1].numpy()]).astype(np.float32)
    over, times = done[-1].numpy(), 20 if quick else 200

    def ours():
        for _ in range(times):
            _ = gae(rewards, values, last, done, CONFIG.gamma, CONFIG.lam) + values

    return Contest(
        ours,
        lambda: [theirs.compute_returns_and_advantage(last, over) for _ in range(times)],
        times * rewards.numel(),
        "steps/s",
        aim=1.0,
    )


def largest(rewards, values, last, done):
    """The largest difference between our advantages and theirs."""
    ours = gae(rewards, values, last, done, CONFIG.gamma, CONFIG.lam)
    theirs, _ = peer.their_buffer(rewards, values, last, done, CONFIG.gamma, CONFIG.lam)
    return (ours - theirs).abs().max().item()
