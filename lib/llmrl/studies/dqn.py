"""DQN on CartPole with one thing changed at a time, ten learners or thirty, and stable-baselines3's DQN beside it.

Which part keeps it from falling apart: the replay, the target network, neither, both? Does a Double target predict
better? What do scaled states do? What happens when a time limit is taken for an end, under Huber's loss and under the
squared one? And does the peer, with the settings of its zoo, reach 500 in 50,000 steps, seed after seed? Every learner
is examined along the way: twenty greedy episodes, their returns, and what was predicted for the states of their first
hundred steps beside what then came.
Left out: a search for the best dials of each arm; all share those of the first.

Shapes: N learners, E episodes, T steps.
"""

import json
from dataclasses import replace
from functools import partial

import numpy as np

from llmrl.rl import peer
from llmrl.rl.dqn import Config, half_square, td_loss, train
from llmrl.rl.greedy_play import play, predicted_and_realised
from llmrl.rl.q_networks import QNetwork
from llmrl.rl.replay import Replay
from llmrl.seeds import numpy_rng, rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.cart_pole import LIMIT, SCALE, cart_pole, cart_poles
from llmrl.toy.make import SEED

SIZES, GAMMA, CAPACITY = (4, 64, 64, 2), 0.99, 50_000
CONFIG = Config()  # 8,000 steps, a batch of 64 after each, the target network copied every 200
LEARNERS, EPISODES, EVERY, FIRST = 10, 20, 500, 100
PEERS, SHORT = 5, 100  # seeds of the peer; the limit of the arms about time


def ended(loss):
    """The same loss, told that a truncated step had ended the episode."""

    def told(network, frozen, batch):
        return loss(network, frozen, replace(batch, terminated=(batch.terminated + batch.truncated).clamp(max=1)))

    return told


HUBER, SQUARED = partial(td_loss, gamma=GAMMA), partial(td_loss, gamma=GAMMA, error=half_square)
NONE, OFTEN = replace(CONFIG, sync=1), replace(CONFIG, sync=20)  # no target network; one that is copied 375 times
LAST = CONFIG.batch  # a memory of one batch
ARMS = {  # what differs from CONFIG, a capacity of CAPACITY, a limit of LIMIT, scaled states and Huber's loss
    "both": {},
    "no target network": {"config": NONE},
    "no replay": {"capacity": LAST},
    "neither": {"config": NONE, "capacity": LAST},
    "both, squared": {"loss": SQUARED},
    "no target network, squared": {"config": NONE, "loss": SQUARED},
    "no replay, squared": {"capacity": LAST, "loss": SQUARED},
    "neither, squared": {"config": NONE, "capacity": LAST, "loss": SQUARED},
    "raw states": {"scale": None},
    "often": {"config": OFTEN, "loss": SQUARED},
    "often, double": {"config": OFTEN, "loss": partial(SQUARED, double=True)},
    "limit": {"config": OFTEN, "limit": SHORT, "loss": SQUARED},
    "limit taken for an end": {"config": OFTEN, "limit": SHORT, "loss": ended(SQUARED)},
}
THRICE = dict.fromkeys(("both", "no replay", "often", "often, double"), 3)  # smaller effects need 30 learners


def run(seed, config=CONFIG, capacity=CAPACITY, loss=HUBER, limit=LIMIT, scale=SCALE):
    """Train LEARNERS side by side.  -> lists over examinations and learners: score, predicted, realised"""
    network, memory = QNetwork(SIZES, LEARNERS, rng(seed, "weights")), Replay(capacity, LEARNERS, SIZES[0])
    exam, random = cart_poles(LEARNERS * EPISODES, scale=scale), numpy_rng(seed, "run")
    found = {"step": [], "score": [], "predicted": [], "realised": []}
    for record in train(cart_poles(LEARNERS, limit, scale), network, memory, config, random, loss):
        if record["step"] % EVERY == 0:
            for name, value in examination(network, exam, int(random.integers(2**31))).items():
                found[name].append(value.tolist())
            found["step"].append(record["step"])
    return rounded(found)


def examination(network, exam, seed):
    """Mean return, and mean prediction and realised value of the first states.  -> {name: (N,)}"""
    predicted, realised = predicted_and_realised(network, exam, seed, GAMMA)  # (T, N, E)
    score = np.isfinite(realised).sum(0).mean(-1)
    return {"score": score, "predicted": early(predicted), "realised": early(realised)}


def early(values):
    """The mean over the states of the first steps, a learner at a time.  (T, N, E) -> (N,)"""
    return np.nanmean(values[:FIRST], axis=(0, 2))


def peer_run(seed):
    """stable-baselines3 with its zoo's settings on plain states.  -> scores on the way, 100 at the end"""
    model = peer.their_dqn(cart_pole(scale=None), peer.ZOO_SIZES, peer.ZOO, peer.ZOO_CAPACITY, seed, GAMMA)
    found, exam = {"step": [], "score": []}, cart_poles(EPISODES, scale=None)

    def examine(step):
        found["step"].append(step)
        found["score"].append(float(play(peer.take_weights(model.q_net), exam, seed + step).mean()))

    peer.learn(model, peer.ZOO.steps, 2560, examine)
    last = play(peer.take_weights(model.q_net), cart_poles(100, scale=None), seed)
    return rounded(found | {"last": last[0].tolist()})


def more(runs):
    """Runs of the same arm side by side: their learners together."""
    joined = {
        name: np.concatenate([run[name] for run in runs], 1).tolist() for name in ("score", "predicted", "realised")
    }
    return {"step": runs[0]["step"]} | joined


def make(kept):
    """Compute what is missing and ship it."""
    arms = {}
    for name, arm in ARMS.items():
        seeds = [SEED, *(f"{SEED} {i}" for i in range(1, THRICE.get(name, 1)))]
        arms[name] = more([kept(f"{name}, {seed}", partial(run, seed, **arm)) for seed in seeds])
    peers = [kept(f"peer {seed}", partial(peer_run, seed)) for seed in range(PEERS)]
    files.ship("studies/dqn.json", json.dumps({"arms": arms, "peers": peers}) + "\n")
