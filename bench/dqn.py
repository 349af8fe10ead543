"""DQN on CartPole: ours against the DQN of stable-baselines3 with the same dials; a stack of learners against each."""

from dataclasses import replace
from itertools import count

import torch

from bench.contest import Contest, agree, row
from llmrl.rl import dqn, peer
from llmrl.rl.greedy_play import play
from llmrl.rl.q_networks import QNetwork
from llmrl.rl.replay import Replay
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.cart_pole import cart_pole, cart_poles

SIZES, CAPACITY, LEARNERS, EVERY, ENOUGH = (4, 64, 64, 2), 50_000, 8, 500, 475
PATIENCE = dqn.Config(steps=20_000)  # the dials of both sides


def our_run(config, seed, learners=1):
    """A run of ours: its records, and the network they change."""
    network, memory = QNetwork(SIZES, learners, rng(seed, "bench")), Replay(CAPACITY, learners, SIZES[0])
    return dqn.train(cart_poles(learners), network, memory, config, numpy_rng(seed, "bench")), network


def their_run(config, seed):
    """The same dials in stable-baselines3."""
    return peer.their_dqn(cart_pole(), SIZES, config, CAPACITY, seed)


def same_step():
    """One gradient step on one batch: the largest difference between any two weights afterwards."""
    config, random = replace(PATIENCE, warmup=300, steps=400), numpy_rng(0, "bench")
    network, memory = QNetwork(SIZES, 1, rng(0, "bench")), Replay(CAPACITY, 1, SIZES[0])
    for _ in dqn.train(cart_poles(1), network, memory, config, random):
        pass
    model, batch = their_run(config, 0), memory.sample(64, random)
    peer.give_weights(network, model.q_net)
    peer.give_weights(network, model.q_net_target)
    peer.their_step(model, batch)
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, fused=True)
    dqn.gradient_step(network, dqn.td_loss(network, network, batch), optimizer, config.clip)
    pairs = zip(network.parameters(), peer.take_weights(model.q_net).parameters())
    return max((a - b).abs().max().item() for a, b in pairs)


@row("dqn.steps", threads=(1,))  # networks this small do not divide among threads
def steps(quick):
    """Steps of the environment per second, a gradient step after each."""
    agree("weights after a step", same_step(), 0.0)
    config = replace(PATIENCE, steps=300 if quick else 2000, warmup=100)
    ours = lambda: [None for _ in our_run(config, 0)[0]]  # noqa: E731
    theirs = lambda: their_run(config, 0).learn(config.steps, log_interval=10**9)  # noqa: E731
    return Contest(ours, theirs, config.steps, "steps/s", aim=1.0)


def our_seconds(seed, enough):
    """Train until twenty greedy episodes score enough."""
    records, network = our_run(PATIENCE, seed)
    exam = cart_poles(20)
    for record in records:
        if record["step"] % EVERY == 0 and play(network, exam, seed).mean() >= enough:
            return record["step"]


def their_seconds(seed, enough):
    model, exam = their_run(PATIENCE, seed), cart_poles(20)

    def look(step):
        return step > PATIENCE.warmup and play(peer.take_weights(model.q_net), exam, seed).mean() >= enough

    peer.learn(model, PATIENCE.steps, EVERY, look)
    return model.num_timesteps


@row("dqn.solved", threads=(1,))
def solved(quick):
    """Runs per second until an examination of twenty episodes scores 475; every round has new seeds."""
    agree("weights after a step", same_step(), 0.0)
    seeds, enough = count(), 5 if quick else ENOUGH
    note = "a run until 475; how many steps that takes is luck"
    return Contest(
        lambda: our_seconds(next(seeds), enough), lambda: their_seconds(next(seeds), enough), 1000, "mruns/s", 1.0, note
    )


@row("dqn.stack", threads=(1,))
def stack(quick):
    """Eight learners in one stack of weights against the same number one after another."""
    config = replace(PATIENCE, steps=200 if quick else 1000, warmup=100)

    def one_by_one():
        for seed in range(LEARNERS):
            for _ in our_run(config, seed)[0]:
                pass

    ours = lambda: [None for _ in our_run(config, 0, LEARNERS)[0]]  # noqa: E731
    return Contest(ours, one_by_one, LEARNERS * config.steps, "learner steps/s", aim=2.0)
