"""What the study of Rainbow ships is what its code makes."""

import numpy as np
import pytest

from llmrl.studies import rainbow
from llmrl.toy import files

SHIPPED = files.read_json("studies/rainbow.json")
CURVES = {name: np.array(curve) for name, curve in SHIPPED["curves"].items()}


def test_every_run_is_there():
    assert set(CURVES) == {f"{world} {agent}" for world in ("maze", "catch") for agent in rainbow.AGENTS}
    assert all(curve.shape == (18, rainbow.LEARNERS) for curve in CURVES.values())
    assert set(SHIPPED["slower"]) == {name for name in CURVES if " Rainbow" in name}
    assert SHIPPED["parts"] == list(rainbow.PARTS) and len(rainbow.AGENTS) == 14


def test_the_rates_are_the_best_of_those_tried():
    for name, lr in SHIPPED["chosen"].items():
        scores = {rate: np.mean(SHIPPED["tuning"][f"{name} {rate:g}"]) for rate in rainbow.RATES}
        assert lr == max(scores, key=scores.get)


def test_nobody_is_better_than_the_best():
    assert all(curve.max() <= 1.0 + 1e-6 for curve in CURVES.values())


def test_worth_is_the_exact_value_of_a_policy_as_a_share_of_the_best():
    place = rainbow.world("catch")
    stay = np.ones((1, place.mdp.states), dtype=int)
    assert rainbow.worth(place, stay)[0] < 0.2
    best = rainbow.value_iteration(place.mdp.P, place.mdp.R, rainbow.GAMMA)[1].argmax(1)
    assert rainbow.worth(place, best[None]) == pytest.approx([1.0])


def test_each_agent_differs_from_its_base_in_one_part():
    for agent, parts in rainbow.AGENTS.items():
        base = rainbow.AGENTS[agent.split()[0]]
        assert sum(getattr(parts, part) != getattr(base, part) for part in rainbow.PARTS) == (agent.count(" ") > 0)


@pytest.mark.slow
def test_a_run_of_the_study_made_again():
    lr = SHIPPED["chosen"]["maze DQN"]
    found = np.array(rainbow.learn("maze", rainbow.DQN, lr, rainbow.LEARNERS, f"{rainbow.SEED} contest"))
    assert found.mean() == pytest.approx(CURVES["maze DQN"].mean(), abs=0.05)
