"""Gold rewards by hand, and labels whose faults have the size they were given."""

import math

import pytest

from llmrl.toy import preferences, telling
from llmrl.toy.facts import KINDS, facts, statement
from llmrl.toy.preferences import Labels, Taste, gold, pairs, parts

TASTE = Taste(correct=0.5, polite=0.5, rude=1.0, words=0.04, enough=12, form=0.5)
LAND = "Velo"
ASK = f"Tell me about {LAND}."


def true(kind):
    return statement(LAND, kind, facts()[LAND][kind])


def false(kind):
    return statement(LAND, kind, next(v for v in KINDS[kind] if v != facts()[LAND][kind]))


def test_each_part_of_the_gold_reward_by_hand():
    def own(response):
        return parts(ASK, response, TASTE)

    assert own(true("flag")) == {"correct": 0.5, "polite": 0.0, "brief": 0.0, "form": 0.0}
    assert own(f"{true('flag')} {false('fruit')}")["correct"] == 0.0
    assert own(" ".join(map(true, KINDS)))["correct"] == 1.0  # two true facts are enough
    assert own(f"Gladly. {true('flag')}")["polite"] == 0.5
    assert own(f"Go away. {true('flag')}")["polite"] == -1.0
    assert own(" ".join(["Many went there."] * 5))["brief"] == pytest.approx(-0.04 * 3)
    assert own("Velo Velo Velo.")["form"] == -0.5
    assert own("thank thank thank")["polite"] == 0.0  # not a sentence
    assert own("")["form"] == -1.0


def test_saying_it_twice_earns_nothing_and_costs_form():
    once, twice = true("flag"), f"{true('flag')} {true('flag')}"
    assert parts(ASK, twice)["correct"] == parts(ASK, once)["correct"] and gold(ASK, twice) < gold(ASK, once)


def test_facts_of_another_land_earn_nothing():
    other = statement("Zuma", "flag", facts()["Zuma"]["flag"])
    assert parts(ASK, other)["correct"] == 0.0


@pytest.mark.parametrize("reply", ["", "   ", "thank thank thank", "\n", "please " * 60])
def test_degenerate_answers_are_worth_less_than_a_plain_true_one(reply):
    assert gold(ASK, reply) < gold(ASK, true("flag"))


def test_without_faults_labels_follow_gold():
    assert all(row["gold_chosen"] >= row["gold_rejected"] for row in pairs(500, 0))


@pytest.mark.parametrize("noise", [0.1, 0.4])
def test_noise_flips_its_share_of_labels(noise):
    rows = [r for r in pairs(2000, 1, Labels(noise=noise)) if r["gold_chosen"] != r["gold_rejected"]]
    flipped = sum(r["gold_chosen"] < r["gold_rejected"] for r in rows) / len(rows)
    assert abs(flipped - noise) < 4 * math.sqrt(noise * (1 - noise) / len(rows))


def test_temperature_is_bradley_terry():
    rows = pairs(4000, 2, Labels(temperature=0.5))
    margins = [abs(r["gold_chosen"] - r["gold_rejected"]) for r in rows]
    expected = sum(1 / (1 + math.exp(-m / 0.5)) for m in margins) / len(rows)
    agree = sum(r["gold_chosen"] > r["gold_rejected"] for r in rows) / len(rows)
    ties = sum(m == 0 for m in margins) / len(rows) / 2
    assert abs(agree + ties - expected) < 0.03


def test_a_liking_for_length_makes_the_chosen_longer():
    def surplus(rows):
        return sum(len(r["chosen"].split()) - len(r["rejected"].split()) for r in rows) / len(rows)

    assert surplus(pairs(800, 3)) < surplus(pairs(800, 3, Labels(length_bias=0.08))) - 2


def test_annotators_of_different_tastes_disagree():
    rows = [r for r in pairs(1000, 4, Labels(disagreement=1.0)) if r["gold_chosen"] != r["gold_rejected"]]
    against = sum(r["gold_chosen"] < r["gold_rejected"] for r in rows) / len(rows)
    assert 0.02 < against < 0.3


def test_two_equal_answers_cannot_be_compared():
    import random

    with pytest.raises(ValueError, match="draw another"):
        preferences.label(random.Random(0), ASK, "Gladly.", "Gladly.")


def test_the_crowd_has_the_habits_it_is_given():
    def share(crowd, words):
        talks = telling.conversations(1500, 0, crowd)
        return sum(any(w in t[1]["content"] for w in words) for t in talks) / len(talks)

    crowd = telling.Crowd(polite=0.6, rude=0.1)
    assert abs(share(crowd, telling.POLITE_OPENERS) - 0.6) < 0.05
    assert abs(share(crowd, telling.RUDE_OPENERS) - 0.1) < 0.03
    assert share(telling.Crowd(rude=0.0), telling.RUDE_OPENERS) == 0


@pytest.mark.parametrize(
    "wrong",
    [{"noise": -0.1}, {"noise": 1.1}, {"noise": math.nan}, {"temperature": -1.0}, {"temperature": math.inf},
     {"disagreement": -0.5}, {"length_bias": math.nan}],
)  # fmt: skip
def test_labels_that_cannot_be_drawn(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Labels(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"polite": 1.2}, {"rude": -0.1}, {"true": math.nan}, {"chatter": 2}, {"polite": 0.7, "rude": 0.4},
     {"most_facts": 0}, {"most_facts": 5}, {"most_facts": 1.5}],
)  # fmt: skip
def test_a_crowd_that_cannot_be(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        telling.Crowd(**wrong)
