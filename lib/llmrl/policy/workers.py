r"""Asynchronous actor-critic (A3C): several processes, one set of weights, nobody waits.

Each worker copies the shared weights, plays a few steps, works out a gradient and adds its step to the shared weights
without asking whether others have done so in between (Mnih et al. 2016, arXiv:1602.01783; writing without locks is
Hogwild, Recht et al. 2011, arXiv:1106.5730). So a gradient may be stale: it was worked out at weights that are no
longer there. A counter of versions tells by how much. The mean squares of RMSprop are shared as well.
Left out: several learners per network, workers on other machines, corrections for what is stale (V-trace).

Shapes: W workers, U updates of each.
"""

import copy
import time
from dataclasses import dataclass

import torch
import torch.multiprocessing as mp

from llmrl.policy.actor_critic import gradient
from llmrl.policy.rollout import collect, fresh_start
from llmrl.seeds import derive, rng


@dataclass(frozen=True, eq=False)
class Log:
    """What the workers did, (W, U) each: the version read, the version written, when, and the returns of episodes."""

    read: torch.Tensor
    written: torch.Tensor
    seconds: torch.Tensor
    earned: torch.Tensor  # sum over the episodes that ended with this update
    ended: torch.Tensor  # how many

    @property
    def staleness(self):
        """How many updates of others came between reading and writing.  (W, U)"""
        return self.written - self.read - 1


def train(network, make_envs, config, seed, workers=2):
    """Let the workers change the network in place, config.updates times each.  -> Log

    make_envs() -> a vector environment; it has to be importable, as every worker makes its own in a new process.
    """
    if workers < 1 or network.learners != 1:
        raise ValueError(f"1 or more workers train 1 learner, got {workers} workers and {network.learners} learners")
    context = mp.get_context("spawn")
    shared = network.share_memory(), [torch.zeros_like(p).share_memory_() for p in network.parameters()]
    version, gate = context.Value("q", 0), context.Barrier(workers)
    log = torch.zeros(workers, config.updates, 5, dtype=torch.float64).share_memory_()
    mp.spawn(_work, (shared, version, gate, make_envs, config, seed, log), nprocs=workers)
    read, written, seconds, earned, ended = log.unbind(-1)
    return Log(read.long(), written.long(), seconds - seconds.min(), earned, ended.long())


def _work(worker, shared, version, gate, make_envs, config, seed, log):
    torch.set_num_threads(1)
    network, squares = shared
    local, generator, envs = copy.deepcopy(network), rng(seed, "worker", worker), make_envs()
    start = fresh_start(envs, derive(seed, "worlds", worker) % 2**31)
    gate.wait()
    for n in range(config.updates):
        read = version.value
        local.load_state_dict(network.state_dict())
        rollout = collect(envs, local, start, config.steps, generator)
        gradient(local, rollout, config)
        apply(network, squares, local, config.lr)
        with version.get_lock():
            version.value += 1
            written = version.value
        start, earned = rollout.last, [pays for _, pays, _ in rollout.finished]
        log[worker, n] = torch.tensor([read, written, time.monotonic(), sum(earned), len(earned)], dtype=log.dtype)


@torch.no_grad()
def apply(network, squares, local, lr, decay=0.99, eps=1e-5):
    """One step of RMSprop on the shared weights with the gradient of a local copy; nothing is locked."""
    for shared, square, mine in zip(network.parameters(), squares, local.parameters()):
        square.mul_(decay).addcmul_(mine.grad, mine.grad, value=1 - decay)
        shared.addcdiv_(mine.grad, square.sqrt().add_(eps), value=-lr)
