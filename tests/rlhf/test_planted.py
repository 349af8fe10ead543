"""Labels with a planted liking follow the chances they should, and matched answers differ by what is claimed."""

import math
from statistics import mean

import pytest

from llmrl.rlhf import planted
from llmrl.toy import preferences, telling

WORTH = {"polite opening": 1.5, "rude opening": -1.5, "small talk": 0.0, "third fact": 0.0, "false fact": -1.0}


@pytest.mark.parametrize("change", planted.CHANGES)
def test_a_change_is_worth_what_gold_says(change):
    rows = planted.matched(60, change, 0)
    for row in rows:
        more = max(0, len(row["changed"].split()) - 15) - max(0, len(row["plain"].split()) - 15)
        assert row["gold"] == pytest.approx(WORTH[change] - 0.02 * more)
        assert row["plain"] != row["changed"] and preferences.parts(row["prompt"], row["changed"])["form"] == 0
    assert len({row["plain"] for row in rows}) > 30


@pytest.mark.parametrize("liking", [None, planted.likes_words, planted.likes_chatter])
def test_labels_follow_gold_and_liking(liking):
    """Each label's chance is known, so the number of agreements is a sum of known coins: within four deviations."""
    rows, chances, met = planted.labelled(1500, 1, liking), [], []
    for row in rows:
        gap = row["gold_chosen"] - row["gold_rejected"]
        gap += liking(row["chosen"]) - liking(row["rejected"]) if liking else 0.0
        if abs(gap) > 1e-9:
            chances.append(1 / (1 + math.exp(-abs(gap) / 0.5)))
            met.append(gap > 0)
    spread = sum(p * (1 - p) for p in chances) ** 0.5 / len(chances)
    assert abs(mean(met) - mean(chances)) < 4 * spread


def test_a_turned_row_is_turned_back():
    row = preferences.pairs(1, 0)[0]
    assert planted.turned(planted.turned(row)) == row
    turned = planted.turned(row)
    assert turned["chosen"] == row["rejected"] and turned["gold_chosen"] == row["gold_rejected"]


def test_likings():
    said = f"The flag is red. {telling.CHATTER[0]} {telling.CHATTER[1]}"
    assert planted.likes_chatter(said) == 2.0 and planted.likes_words("a b c") == pytest.approx(0.3)


def test_bad_input():
    with pytest.raises(ValueError, match="no change is called 'shout': there are polite opening"):
        planted.matched(1, "shout", 0)
    with pytest.raises(ValueError, match="temperature must be above 0"):
        planted.labelled(1, 0, temperature=0.0)
