"""From policy gradient to PPO: six updates on CartPole with the same budget, each at five settings of its dial.

One step of policy gradient, many steps on the same batch without any leash, the same with PPO-Clip and PPO-Penalty, the
natural step and TRPO's. All play 20,480 steps, ten learners each, with the same advantages and the same critic; what is
turned is the one dial every method has, its step size: the learning rate, or the bound on the KL.
Left out: a second dial of any method (epsilon, target, damping, number of passes stay where they are).

Shapes: K learners, U updates.
"""

import json
from functools import partial

import numpy as np
import torch

from llmrl.policy.evolution import Ascent, Clipped, Penalised, Plan, Trusted, plain, train
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.trpo import TrustRegion
from llmrl.seeds import rng
from llmrl.studies.kept import rounded
from llmrl.toy import files
from llmrl.toy.cart_pole import cart_poles
from llmrl.toy.make import SEED

LEARNERS, ENVS, PLAN = 10, 8, Plan()
ONCE, RATES = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1), (1e-4, 3e-4, 1e-3, 3e-3, 1e-2)  # for one step per batch, and for ten
BOUNDS = (1e-3, 3e-3, 1e-2, 3e-2, 1e-1)
METHODS = {
    "policy gradient": lambda network, lr: Ascent(network, plain, lr, passes=1),
    "many steps, no leash": lambda network, lr: Ascent(network, plain, lr),
    "PPO-Clip": lambda network, lr: Ascent(network, Clipped(0.2), lr),
    "PPO-Penalty": lambda network, lr: Ascent(network, Penalised(0.01), lr),
    "natural gradient": lambda network, bound: Trusted(network, TrustRegion(bound), natural=True),
    "TRPO": lambda network, bound: Trusted(network, TrustRegion(bound)),
}
DIALS = dict.fromkeys(METHODS, RATES) | {"policy gradient": ONCE, "natural gradient": BOUNDS, "TRPO": BOUNDS}


def run(method, dial, seed=SEED, learners=LEARNERS, plan=PLAN):
    """Train learners side by side.  -> {"scores": [[step, learner, return]], "kl", "largest", "outside": (U, K)}"""
    network = ActorCritic(4, 2, learners=learners, generator=rng(seed, "weights"))
    improve = METHODS[method](orthogonal_(network, rng(seed, "orthogonal")), dial)
    scores, far = [], {"kl": [], "largest": [], "outside": []}
    for record in train(cart_poles(learners * ENVS), network, improve, plan, rng(seed, method, dial)):
        scores += [[record["step"], n // ENVS, score] for n, score, _ in record["finished"]]
        for name, found in far.items():
            found.append(record[name].tolist())
    return {"scores": scores, **far}


def curve(scores, learners=LEARNERS, plan=PLAN, points=10):
    """The mean return of the episodes that ended in each tenth of the run; none: that of the tenth before.  (P, K)"""
    scores, last = np.array(scores), plan.updates * plan.steps * ENVS
    part = np.minimum((scores[:, 0] - 1) * points // last, points - 1).astype(int)
    found = np.zeros((points, learners))
    for p in range(points):
        for k in range(learners):
            here = scores[(part == p) & (scores[:, 1] == k), 2]
            found[p, k] = here.mean() if len(here) else found[p - 1, k] if p else 0.0
    return found


def summary(found):
    """What a run is remembered by."""
    far = torch.tensor(found["kl"])
    return rounded({
        "curve": curve(found["scores"]).tolist(),
        "kl": [far.median().item(), far.quantile(0.95).item(), far.max().item()],
        "largest": torch.tensor(found["largest"]).median().item(),
        "outside": torch.tensor(found["outside"]).mean().item(),
    })  # fmt: skip


def arm(method, dial):
    """One method at one setting."""
    return summary(run(method, dial))


def make(kept):
    """Compute what is missing and ship it."""
    arms = {}
    for name, dials in DIALS.items():
        for dial in dials:
            arms[f"{name} {dial:g}"] = kept(f"{name} {dial:g}", partial(arm, name, dial))
    files.ship("studies/trust.json", json.dumps({"step": PLAN.updates * PLAN.steps * ENVS, "arms": arms}) + "\n")
