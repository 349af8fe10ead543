"""What the study of self-play ships is what its code makes."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrl.reasoning.arena import elo
from llmrl.studies import selfplay
from llmrl.toy import files
from llmrl.toy.boards import perfect, solve

SHIPPED = files.read_json("studies/selfplay.json")
NAMES = [f"{who} {i}" for who in ("network", "search") for i in selfplay.LOOKS]


def test_every_match_was_played():
    assert len(SHIPPED["runs"]) == selfplay.SEEDS
    for run in SHIPPED["runs"]:
        assert run["players"] == ["random", "random games", *NAMES] and list(run["mistakes"]) == run["players"]
        points = np.array(run["points"])
        played = points + points.T
        assert (played == 2 * selfplay.OPENINGS * (1 - np.eye(len(points)))).all()
        assert len(run["records"]) == selfplay.PLAN.iterations and list(map(int, run["budgets"])) == [*selfplay.BUDGETS]
        strength, error = elo(torch.tensor(points))
        assert strength.isfinite().all() and error.max() < 60


def test_the_openings_are_the_codes():
    assert [tuple(state) for state in SHIPPED["openings"]] == selfplay.starts()


def test_the_judge_is_right_where_the_game_is_nearly_over():
    late = [(tuple(s), good) for s, good in SHIPPED["positions"] if s[0].bit_count() + s[1].bit_count() >= 11]
    assert len(late) > 60
    for state, good in late:
        assert perfect(selfplay.BOARD, state, solve(selfplay.BOARD, state)) == good
        assert len(good) < len(selfplay.BOARD.actions(state))


def test_mistakes_are_counted():
    positions = [[[0, 0], [1, 2]], [[0, 0], [0]], [[0, 0], [3]], [[0, 0], [0, 1]]]
    assert selfplay.mistakes(lambda states: [0] * len(states), positions) == 0.5


@pytest.mark.slow
def test_the_untrained_learner_made_again(monkeypatch):
    monkeypatch.setattr(selfplay, "PLAN", replace(selfplay.PLAN, iterations=1))
    networks, records = selfplay.snapshots(0)
    assert records[0]["moves"] == pytest.approx(SHIPPED["runs"][0]["records"][0]["moves"], abs=0.5)
    fresh = selfplay.players({0: networks[0]}, 0)
    shipped = SHIPPED["runs"][0]["mistakes"]
    for name in ("network 0", "search 0"):
        assert selfplay.mistakes(fresh[name], SHIPPED["positions"]) == pytest.approx(shipped[name], abs=0.02)
