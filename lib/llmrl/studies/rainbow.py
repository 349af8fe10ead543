"""Rainbow with one part left out, and DQN with one part added, in two worlds whose best return is known exactly.

Catch pays in its last step, and trying everything is easy there; the maze pays only at its goal, which is rarely found
by chance. Every agent sees features, not states. Its greedy policy is not played but solved: the value at the start,
as a share of the best there is, every 400 steps once learning has begun. The learning rates of Rainbow and of DQN are
chosen on seeds of their own; Rainbow without a part keeps Rainbow's rate, DQN with a part keeps DQN's. Rainbow and
what is left of it also run at a quarter of the rate, to see whether a part's worth hangs on it.
Left out: tuning any other dial, or a rate for every agent.
"""

import json
from dataclasses import dataclass, fields, replace
from functools import cache, partial
from itertools import product

import numpy as np
import torch

from llmrl.rl import dqn
from llmrl.rl.crowd import Crowd
from llmrl.rl.distributional import atoms
from llmrl.rl.mdp import MDP
from llmrl.rl.planning import policy_evaluation, value_iteration
from llmrl.rl.rainbow import DQN, Parts, RainbowNetwork, greedy_actions, memory_for, rainbow_loss
from llmrl.seeds import numpy_rng, rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.catch import catch
from llmrl.toy.environments import gridworld
from llmrl.toy.make import SEED

LEARNERS, TUNERS, STEPS, EVERY, GAMMA = 12, 6, 8000, 400, 0.97
WARMUP, CAPACITY, HIDDEN = 800, 4000, 64
RATES = (5e-4, 1e-3, 2e-3, 4e-3, 8e-3)
MAZE = ("SFFFFFF", "F####FF", "FFFF#FF", "###F#FF", "FFFF#FF", "F####FF", "FFFFFFG")
PARTS = tuple(field.name for field in fields(Parts))
AGENTS = {"DQN": DQN, "Rainbow": Parts()}
AGENTS |= {f"Rainbow without {part}": Parts().without(part) for part in PARTS}
AGENTS |= {f"DQN with {part}": replace(DQN, **{part: getattr(Parts(), part)}) for part in PARTS}


@dataclass(frozen=True, eq=False)
class World:
    """A world, what is seen of it, its time limit, the atoms that hold its returns, and the best value at the start."""

    mdp: MDP
    features: np.ndarray  # (S, D)
    limit: int | None
    support: torch.Tensor  # (M,)
    best: float


@cache
def world(name):
    """catch or maze."""
    if name == "catch":
        (mdp, seen), limit, support = catch(8, 5, wind=0.3), None, atoms(-1.05, 1.05, 21)
    else:
        mdp, limit, support = gridworld(MAZE, slip=0.05), 60, atoms(-0.05, 1.05, 21)
        place = np.arange(mdp.states)
        seen = np.concatenate([np.eye(7)[place // 7], np.eye(7)[place % 7]], 1).astype(np.float32)
    return World(mdp, seen, limit, support, mdp.start @ value_iteration(mdp.P, mdp.R, GAMMA)[0])


def worth(place, actions):
    """What policies (N, S) are worth at the start, exactly, as shares of the best.  -> N numbers"""
    values = (policy_evaluation(place.mdp.P, place.mdp.R, policy, GAMMA) for policy in actions)
    return [float(place.mdp.start @ v / place.best) for v in values]


def epsilon(parts):
    """Noisy agents act at random while they warm up and never again; the others ever less, for half the run."""
    return (lambda step: float(step < WARMUP)) if parts.noisy else dqn.Exploration(1.0, 0.02, STEPS // 2)


def learn(name, parts, lr, learners, seed, steps=STEPS):
    """Train so many learners; the worth of their greedy policies along the way.  -> (18, learners) nested lists"""
    place = world(name)
    sizes = place.features.shape[1], HIDDEN, place.mdp.actions
    network = RainbowNetwork(parts, sizes, place.support, learners, rng(seed, "rainbow weights"))
    memory = memory_for(parts, CAPACITY, learners, sizes[0], GAMMA)
    config = dqn.Config(steps=steps, lr=lr, batch=32, warmup=WARMUP, every=4, sync=60, tau=1.0, epsilon=epsilon(parts))
    loss, found = rainbow_loss(parts, memory, rng(seed, "rainbow noise")), []
    players = Crowd(place.mdp, place.features, learners, place.limit)
    for record in dqn.train(players, network, memory, config, numpy_rng(seed, "rainbow play"), loss):
        memory.beta = 0.4 + 0.6 * record["step"] / STEPS
        if record["step"] % EVERY == 0:
            found.append(worth(place, greedy_actions(network, place.features)))
    return rounded(found)


def make(kept):
    """Compute what is missing and ship it."""
    found = {"parts": PARTS, "steps": STEPS, "every": EVERY, "rates": RATES}
    found |= {"tuning": {}, "chosen": {}, "curves": {}, "slower": {}}
    for name, base, lr in product(("maze", "catch"), ("DQN", "Rainbow"), RATES):
        compute = partial(learn, name, AGENTS[base], lr, TUNERS, f"{SEED} tuning")
        found["tuning"][f"{name} {base} {lr:g}"] = kept(f"{name} {base} {lr:g}", compute)
    for name, base in product(("maze", "catch"), ("DQN", "Rainbow")):
        found["chosen"][f"{name} {base}"] = max(RATES, key=lambda lr: np.mean(found["tuning"][f"{name} {base} {lr:g}"]))
    for name, agent in product(("maze", "catch"), AGENTS):
        lr = found["chosen"][f"{name} {agent.split()[0]}"]
        for part, rate in (("curves", lr), ("slower", lr / 4)):
            if part == "curves" or agent.startswith("Rainbow"):
                compute = partial(learn, name, AGENTS[agent], rate, LEARNERS, f"{SEED} contest")
                found[part][f"{name} {agent}"] = kept(f"{name} {agent} at {rate:g}", compute)
    files.ship("studies/rainbow.json", json.dumps(found) + "\n")
