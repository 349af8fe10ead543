"""The study of six updates: what it measures, on runs that are over at once, and what is shipped."""

import numpy as np
import pytest

from llmrl.policy.evolution import Plan
from llmrl.studies.trust import DIALS, LEARNERS, METHODS, curve, run, summary
from llmrl.toy import files

SHORT = Plan(updates=2, steps=16, critic_steps=4)


@pytest.mark.parametrize("method", METHODS)
def test_every_method_runs(method):
    found = run(method, DIALS[method][2], 0, 2, SHORT)
    assert np.shape(found["kl"]) == np.shape(found["largest"]) == np.shape(found["outside"]) == (2, 2)
    assert {learner for _, learner, _ in found["scores"]} == {0, 1}


def test_the_seed_decides_everything():
    assert run("PPO-Clip", 1e-3, 0, 2, SHORT) == run("PPO-Clip", 1e-3, 0, 2, SHORT)


def test_a_curve_is_means_and_a_gap_repeats_what_was_before():
    scores = [[1, 0, 10.0], [10, 0, 20.0], [60, 0, 50.0], [1, 1, 4.0]]
    plan = Plan(updates=1, steps=20)  # 160 steps: tenths of 16
    found = curve(scores, 2, plan)
    assert found[:, 0].tolist() == [15.0] * 3 + [50.0] * 7 and found[:, 1].tolist() == [4.0] * 10


def test_a_summary_holds_numbers_only():
    found = summary(run("TRPO", 0.01, 0, LEARNERS, Plan(updates=1, steps=16, critic_steps=4)))
    assert np.shape(found["curve"]) == (10, LEARNERS) and len(found["kl"]) == 3 and 0 <= found["outside"] <= 1


def test_what_is_shipped_is_whole():
    study = files.read_json("studies/trust.json")
    assert set(study["arms"]) == {f"{name} {dial:g}" for name, dials in DIALS.items() for dial in dials}
    for arm in study["arms"].values():
        assert np.shape(arm["curve"]) == (10, LEARNERS) and np.isfinite(arm["curve"]).all()
    for dial in DIALS["TRPO"]:
        assert study["arms"][f"TRPO {dial:g}"]["kl"][2] <= dial + 1e-4  # the bound held on every update
