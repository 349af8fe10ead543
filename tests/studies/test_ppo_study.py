"""The study of PPO: exact scores against play, small runs of every arm, and what was shipped."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrl.policy.faults import FAULTS, nearest
from llmrl.policy.rollout import collect, fresh_start
from llmrl.seeds import rng
from llmrl.studies import ppo as study
from llmrl.toy import files

SMALL = replace(study.CONFIG, steps=64, horizon=4, batch=32, epochs=1)


def test_the_exact_worth_is_what_play_earns():
    model = study.network(1, 0, sizes=study.WORLDS["catch"][2])
    with torch.no_grad():
        model.policy_head.weight.mul_(100)  # no longer all actions alike
    envs = study.balls(2000)
    rollout = collect(envs, model, fresh_start(envs, 0), 7, rng(0, "play"))
    earned = np.array([score for _, score, _ in rollout.finished]) * study.CONFIG.gamma**6
    assert len(earned) == 2000
    assert abs(earned.mean() - study.exact_worth(model)[0]) < 5 * earned.std() / 2000**0.5


@pytest.mark.parametrize("world", study.WORLDS)
def test_every_learner_is_scored_after_every_buffer(world):
    for name, arm in study.DETAILS.items():
        found = study.run(world, 0, learners=2, config=SMALL, **arm)
        assert found["step"] == [32, 64], name
        assert np.shape(found["score"]) == (2, 2)


def test_a_fault_leaves_its_dials():
    found = study.faulty("shift", 0, learners=2, config=SMALL)
    assert {"score", "first k3", "explained"} <= found.keys() and all(value.shape == (2,) for value in found.values())


def test_what_was_shipped():
    shipped = files.read_json("studies/ppo.json")
    scores = {
        world: {n: np.array(arm["score"]) for n, arm in arms.items()} for world, arms in shipped["details"].items()
    }
    assert all(score.shape == (16, 20) for arms in scores.values() for score in arms.values())
    assert set(scores["cart pole"]) == {*study.DETAILS, "states not scaled"}
    assert set(scores["catch"]) == {*study.DETAILS} - {"limit taken for an end"}
    known = {name: {d: np.array(v) for d, v in found.items()} for name, found in shipped["faults"].items()}
    assert list(known) == list(FAULTS)
    assert all(nearest(found, known) == [name] * 10 for name, found in known.items())
