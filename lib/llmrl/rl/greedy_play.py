"""What a network's best actions earn: the examination a learner passes or not.

Training rewards are no measure, because some actions were random and the network was another one in every step. So the
network is frozen and plays whole episodes by its best actions alone. Of a run the best model is kept, not the
last, since a Q-network can forget in a few steps what it could; and because the best of many noisy scores is a lucky
one, what is kept is judged again on episodes that had no part in the choice.
Left out: statistics beyond the mean; the returns are handed out.

Shapes: N learners, E episodes each, T steps, A actions.
"""

import copy

import numpy as np
import torch


@torch.no_grad()
def steps(network, envs, seed):
    """Play greedily until every environment has ended its first episode: yield q (N, E, A), rewards and alive (N, E).

    envs: E environments per learner, learner by learner.  A reward counts where alive; after an end it is 0.
    """
    states, _ = envs.reset(seed=seed)
    alive = np.ones((network.learners, len(states) // network.learners), bool)
    while alive.any():
        q = network(torch.from_numpy(states).unflatten(0, alive.shape))
        states, rewards, terminated, truncated, _ = envs.step(q.argmax(-1).flatten().numpy())
        yield q.numpy(), np.where(alive, rewards.reshape(alive.shape), 0.0), alive
        alive = alive & ~(terminated | truncated).reshape(alive.shape)


def play(network, envs, seed):
    """The return of one greedy episode in every environment.  -> (N, E)"""
    return sum(rewards for _, rewards, _ in steps(network, envs, seed))


def predicted_and_realised(network, envs, seed, gamma):
    """What the best action is said to be worth in every state visited, and what then came.  -> two (T, N, E)

    nan where the episode was over.  With a limit of L steps the rewards behind it are missing: at most gamma^(L-t)
    of what could come after step t.
    """
    q, rewards, alive = (np.stack(found) for found in zip(*steps(network, envs, seed)))
    realised = np.zeros_like(rewards)
    following = np.zeros(rewards.shape[1:])
    for t in reversed(range(len(rewards))):
        realised[t] = following = rewards[t] + gamma * following
    return np.where(alive, q.max(-1), np.nan), np.where(alive, realised, np.nan)


class Best:
    """Every learner's best weights so far, by the mean return of its examinations."""

    def __init__(self, network):
        self.network, self.score = copy.deepcopy(network), np.full(network.learners, -np.inf)

    @torch.no_grad()
    def update(self, network, scores):
        """Keep the weights of the learners whose score (N,) is higher than any before."""
        better = torch.from_numpy(scores > self.score)
        for old, new in zip(self.network.parameters(), network.parameters()):
            old[better] = new[better]
        self.score = np.maximum(self.score, scores)


def examined(records, network, envs, every, random):
    """Play greedy episodes after every `every` steps of a run: yield step, returns (N, E) and the Best so far."""
    best, due = Best(network), every
    for record in records:
        if record["step"] >= due:
            due = (record["step"] // every + 1) * every
            returns = play(network, envs, int(random.integers(2**31)))
            best.update(network, returns.mean(1))
            yield record["step"], returns, best
