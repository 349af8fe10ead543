"""Pairs from a model's own answers: who is paired with whom, and what no judge can tell apart."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import pairs
from llmrl.seeds import rng
from llmrl.toy import checkpoints, preferences

scores = st.lists(st.integers(-3, 3).map(float), min_size=2, max_size=6)


@settings(max_examples=30)
@given(scores)
def test_best_and_worst_leave_nobody_outside(s):
    found = pairs.best_worst(s)
    assert (found is None) == (len(set(s)) == 1)
    if found:
        best, worst = found
        assert s[best] >= max(s) and s[worst] <= min(s)
        assert s.index(s[best]) == best and s.index(s[worst]) == worst


@settings(max_examples=30)
@given(scores, st.integers(0, 99))
def test_two_at_random_come_the_better_first(s, seed):
    found = pairs.any_two(s, random.Random(seed))
    if found:
        assert s[found[0]] > s[found[1]]
    else:
        assert len(set(s)) < len(s)


def test_any_two_draws_every_pair_alike():
    pick = random.Random(0)
    drawn = [pairs.any_two([1.0, 2.0, 3.0], pick) for _ in range(900)]
    assert {two: 250 < drawn.count(two) < 350 for two in ((2, 1), (2, 0), (1, 0))} == dict.fromkeys(
        ((2, 1), (2, 0), (1, 0)), True
    )


def test_a_prompt_whose_answers_are_alike_gives_no_pair():
    groups = [pairs.Answered("p", ("a", "b", "c"), (1.0, 3.0, 2.0)), pairs.Answered("q", ("a", "b"), (1.0, 1.0))]
    assert pairs.paired(groups) == [{"prompt": "p", "chosen": "b", "rejected": "a", "gap": 2.0}]
    assert pairs.paired([]) == []


def test_the_model_answers_every_prompt_several_times():
    model, prompts = checkpoints.load("sft"), ["Tell me about Velo.", "Describe Wyn to me."]
    groups = pairs.collect(model, prompts, preferences.gold, each=3, generator=rng(0, "collect"), max_new=24)
    assert [g.prompt for g in groups] == prompts and all(len(g.answers) == len(g.scores) == 3 for g in groups)
    assert all(s == preferences.gold(g.prompt, a) for g in groups for a, s in zip(g.answers, g.scores))
    assert len({a for g in groups for a in g.answers}) > 2
    again = pairs.collect(model, prompts, preferences.gold, each=3, generator=rng(0, "collect"), max_new=24)
    assert again == groups


def test_one_answer_has_nothing_beside_it():
    with pytest.raises(ValueError, match="each must be 2 answers or more, got 1"):
        pairs.collect(None, ["p"], preferences.gold, each=1)


@pytest.mark.parametrize("s", [[], [1.0, float("nan")]])
def test_a_score_is_a_number(s):
    with pytest.raises(ValueError, match="every answer needs a score"):
        pairs.best_worst(s)
