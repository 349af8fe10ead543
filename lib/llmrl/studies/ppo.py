"""PPO with one detail changed at a time, in two worlds; planted faults; a peer with the same dials.

Every learner is scored after each buffer: on CartPole by twenty greedy episodes, in the game of catch by the exact
worth of its policy at the start. Of runs with a planted fault, on CartPole, the dials are kept, as means over a run,
and the score of the final policy.
Left out: a search for the best dials of each arm; all share those of the base.

Shapes: K learners, N environments each, E episodes.
"""

import json
from dataclasses import replace
from functools import partial

import numpy as np
import torch

from llmrl.policy import peer, ppo, ppo_peer
from llmrl.policy.faults import FAULTS, signature
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import examine
from llmrl.rl.crowd import Crowd
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.cart_pole import SCALE, cart_poles
from llmrl.toy.catch import catch
from llmrl.toy.make import SEED

LEARNERS, ENVS, EPISODES, PEERS = 20, 8, 20, 5
GAME, SEEN = catch()
CONFIG = ppo.Config()
DETAILS = {  # what differs from the base
    "base": {},
    "not normalised": {"details": ppo.Details(normalise=False)},
    "value clip": {"details": ppo.Details(value_clip=0.2)},
    "not orthogonal": {"orthogonal": False},
    "constant rate": {"details": ppo.Details(anneal=False)},
    "gradient not clipped": {"details": ppo.Details(longest=float("inf"))},
    "not shuffled": {"details": ppo.Details(shuffle=False)},
    "limit taken for an end": {"details": ppo.Details(bootstrap=False)},  # catch has no limit
}
FAULTY = replace(CONFIG, steps=8192)  # of the runs with faults
TEN = 10  # learners of each fault


def carts(count):
    """So many carts, place and angle in units of what ends the game."""
    return cart_poles(count, scale=SCALE)


def balls(count):
    """So many games of catch."""
    return Crowd(GAME, SEEN, count)


def network(learners, *purpose, orthogonal=True, sizes=(4, 2)):
    """So many learners.  sizes: numbers per state, actions"""
    made = ActorCritic(*sizes, learners=learners, generator=rng(*purpose, "weights"))
    return orthogonal_(made, rng(*purpose, "orthogonal")) if orthogonal else made


def greedy_score(model, exam, seed):
    """The mean greedy return of every learner on CartPole.  -> (K,)"""
    return examine(model, exam, seed).reshape(model.learners, -1).mean(1)


def exact_worth(model, *_):
    """What every learner's policy is worth at the start of a game of catch.  -> (K,)"""
    with torch.no_grad():
        logps = model.policy(torch.from_numpy(SEEN).expand(model.learners, *SEEN.shape)).logps()
    chances = logps.double().softmax(-1).numpy()
    return np.array([GAME.start @ policy_evaluation(GAME.P, GAME.R, policy, CONFIG.gamma) for policy in chances])


WORLDS = {
    "cart pole": (carts, greedy_score, (4, 2)),
    "catch": (balls, exact_worth, (SEEN.shape[1], 3)),
    "plain": (partial(cart_poles, scale=None), greedy_score, (4, 2)),  # the same carts, states as they come
}


def run(world, seed, details=ppo.Details(), orthogonal=True, learners=LEARNERS, config=CONFIG):
    """Train learners side by side.  -> steps, and the scores after each buffer (buffers, K)"""
    envs, score, sizes = WORLDS[world]
    model, found = network(learners, seed, orthogonal=orthogonal, sizes=sizes), {"step": [], "score": []}
    exam = envs(learners * EPISODES)
    for record in ppo.train(envs(learners * ENVS), model, config, rng(seed, "run"), details):
        found["score"].append(score(model, exam, record["step"]).tolist())
        found["step"].append(record["step"])
    return rounded(found)


def faulty(name, seed, learners=TEN, config=FAULTY):
    """A run with a fault.  -> its dials and the score of the final policy, each (K,)"""
    fault, model = FAULTS[name], network(learners, seed)
    parts = replace(config, **fault.config), rng(seed, "run"), ppo.Details(anneal=False), fault.prepare, fault.loss
    found = signature(list(ppo.train(carts(learners * ENVS), model, *parts)))
    found = {dial: values.double().numpy() for dial, values in found.items()}
    return {"score": greedy_score(model, carts(learners * EPISODES), config.steps), **found}


def peer_run(seed):
    """stable-baselines3 on CartPole with the dials of the base.  -> steps and scores"""
    model = ppo_peer.their_ppo(ppo_peer.their_carts(ENVS, seed, SCALE), CONFIG, seed)
    found, exam = {"step": [], "score": []}, carts(EPISODES)

    def look(step):
        found["score"].append(float(greedy_score(peer.from_sb3(model.policy), exam, step)[0]))
        found["step"].append(step)

    ppo_peer.learn(model, CONFIG.steps, look)
    return rounded(found)


def make(kept):
    """Compute what is missing and ship it."""
    details = {"cart pole": {}, "catch": {}}
    for world, arms in details.items():
        for name, arm in DETAILS.items():
            if world == "cart pole" or name != "limit taken for an end":
                arms[name] = kept(f"{world}, {name}", partial(run, world, SEED, **arm))
    details["cart pole"]["states not scaled"] = kept("plain, base", partial(run, "plain", SEED))
    faults = {
        name: kept(f"fault {name}", lambda name=name: {k: v.tolist() for k, v in faulty(name, SEED).items()})
        for name in FAULTS
    }
    peers = [kept(f"peer {seed}", partial(peer_run, seed)) for seed in range(PEERS)]
    files.ship("studies/ppo.json", json.dumps({"details": details, "faults": faults, "peers": peers}) + "\n")
