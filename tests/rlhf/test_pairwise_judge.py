"""A judge of two answers: what swapping shows, what averaging over both orders repairs, and how labels are drawn."""

import pytest
import torch
from lm.lively import lively

from llmrl.lm.training import Plan
from llmrl.rlhf import pairwise_judge as judging
from llmrl.rlhf.reward_model import RewardModel
from llmrl.seeds import rng


class Judge:
    """A judge whose logits follow a rule on (first length, second length), with a pull of the first place."""

    def __init__(self, pull):
        self.pull = pull

    def score(self, rows):
        return torch.tensor([first - second + self.pull for first, second in rows])


@pytest.fixture(autouse=True)
def lengths(monkeypatch):
    """Comparisons as two lengths, so that a judge can be written by hand."""
    monkeypatch.setattr(judging, "comparison", lambda row: (float(len(row["first"])), float(len(row["second"]))))


ROWS = [
    {"prompt": "?", "first": "a" * i, "second": "b" * j, "gap": i - j, "won": i > j}
    for i, j in ((3, 1), (2, 3), (5, 5))
]


@pytest.mark.parametrize("pull", [0.0, 1.5, -2.0])
def test_the_pull_of_a_place_is_found_and_averaged_away(pull):
    as_shown, other = judging.both_orders(Judge(pull), ROWS)
    assert judging.place_pull(as_shown, other).item() == pytest.approx(pull)
    assert ((as_shown + other) / 2).tolist() == pytest.approx([2.0, -1.0, 0.0])


def test_a_strong_pull_makes_verdicts_turn_with_the_order():
    assert judging.consistency(*judging.both_orders(Judge(0.1), ROWS[:2])) == 1.0
    assert judging.consistency(*judging.both_orders(Judge(1.5), ROWS[:2])) == 0.5
    assert judging.consistency(*judging.both_orders(Judge(9.0), ROWS[:2])) == 0.0


def test_swapping_twice_changes_nothing_and_the_same_answer_won():
    assert judging.swapped(judging.swapped(ROWS)) == ROWS
    assert judging.swapped(ROWS)[0] == {"prompt": "?", "first": "b", "second": "aaa", "gap": -2, "won": False}


def test_labels_prefer_the_first_place_as_often_as_planted():
    rows = judging.shown(1500, 0, place=1.5)
    chance = torch.sigmoid(torch.tensor([row["gap"] / 0.5 + 1.5 for row in rows], dtype=torch.float64))
    won = torch.tensor([row["won"] for row in rows]).double()
    spread = (chance * (1 - chance)).sum().sqrt()
    assert ((won - chance).sum() / spread).abs() < 4
    assert abs(torch.tensor([row["gap"] for row in rows]).mean()) < 0.15  # who is shown first is drawn


def test_the_loss_is_that_of_a_coin_that_knows_its_odds():
    model, ids = RewardModel(lively()), torch.tensor([[5, 6], [7, 8]])
    torch.nn.init.normal_(model.head.weight, generator=rng(0, "head"))
    won, mask = torch.tensor([True, False]), torch.ones(2, 2, dtype=torch.bool)
    p = torch.sigmoid(model(ids, mask))
    wanted = -(p[0].log() + (1 - p[1]).log()) / 2
    torch.testing.assert_close(judging.loss(model, ids, mask, won), wanted)


def test_nothing_to_learn_from():
    with pytest.raises(ValueError, match="there are no comparisons to learn from"):
        next(judging.train(RewardModel(lively()), [], Plan(steps=1)))
