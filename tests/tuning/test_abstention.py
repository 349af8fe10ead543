"""What is known and what is claimed: outcomes, shares, lands nobody told of, and the arms that are tuned on."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import bpe, talker

from llmrl.toy import facts
from llmrl.toy.words import LANDS, PEOPLE, UNTOLD_LANDS
from llmrl.tuning import unknown
from llmrl.tuning.abstention import UNSURE, asked, outcome, tally

WORDS = ["red", "blue", UNSURE]


def test_outcomes():
    assert outcome("red.", "red") == outcome(" red", "red.") == "right"
    assert outcome("I do not know", "red") == outcome(UNSURE, None) == "abstained"
    assert outcome("blue", "red") == outcome("red", None) == outcome("", "red") == "wrong"


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(WORDS), st.sampled_from([*WORDS[:2], None]), st.floats(0, 1)), min_size=1))
def test_shares_are_shares(rows):
    said, truths, probability = zip(*rows)
    found = tally(said, truths, probability)
    assert all(0 <= share <= 1 for share in found.values()) and sum(found.values()) <= 1 + 1e-9
    everything = tally(said, truths, [1.0] * len(said))  # a model sure of all: the three shares are all there is
    assert sum(everything.values()) == pytest.approx(1)
    assert tally(said, truths, [0.0] * len(said))["confidently wrong"] == 0


def test_shares_by_hand():
    found = tally(["red", "blue", UNSURE, "red"], ["red", "red", "red", None], [0.9, 0.9, 0.9, 0.4])
    assert found == {"right": 0.25, "abstained": 0.25, "confidently wrong": 0.25}


def test_lists_that_do_not_fit():
    with pytest.raises(ValueError, match="got 1 answers, 2 truths and 1 probabilities"):
        tally(["red"], ["red", "blue"], [0.5])
    with pytest.raises(ValueError, match="got 0 answers"):
        tally([], [], [])
    for wrong in (1.5, -0.1, float("nan")):
        with pytest.raises(ValueError, match=r"probabilities must lie in \[0, 1\]"):
            tally(["red"], ["red"], [wrong])


def test_the_probability_is_of_the_whole_answer():
    import torch

    from llmrl.lm.logprobs import token_logp
    from llmrl.tuning import chat

    model = talker()
    said, probability = asked(model, ["What is 2+3?"], 4, bpe())
    prompt = chat.prompt_ids([{"role": "user", "content": "What is 2+3?"}], bpe())
    from llmrl.lm.generation import generate

    ids = torch.tensor([prompt + generate(model, [prompt], 4).ids[0].tolist()])
    assert probability[0] == pytest.approx(
        token_logp(model(ids), ids)[0, len(prompt) - 1 :].sum().exp().item(), rel=1e-4
    )
    assert len(said) == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 23), st.integers(0, 40), st.integers(1, 40))
def test_a_split_shares_no_land(seed, known, new, count):
    lands = unknown.split(seed, known, new, count)
    everything = [name for part in lands for name in part]
    assert len(set(everything)) == len(everything) == 24 + new + count
    assert set(lands.known + lands.known_asked) == set(LANDS)
    assert not {*lands.new, *lands.new_asked} & {*LANDS, *UNTOLD_LANDS, *PEOPLE}


def test_more_of_one_part_leaves_the_questions_alone():
    few, more = unknown.split(1, known=12, new=12), unknown.split(1, known=20, new=36)
    assert few.new_asked == more.new_asked and set(more.known_asked) < set(few.known_asked)
    assert more.known[:12] == few.known and more.new[:12] == few.new


def test_what_the_arms_are_tuned_on():
    lands = unknown.split(0)
    talks = {arm: unknown.conversations(lands, arm, 0) for arm in unknown.ARMS}
    assert len(talks["known"]) == 48 and len(talks["new facts"]) == len(talks["do not know"]) == 96
    assert talks["new facts"][:48] == talks["known"]
    assert all(talk[1]["content"] == UNSURE for talk in talks["do not know"][48:])
    values = {value for kind in facts.KINDS.values() for value in kind}
    assert all(talk[1]["content"] in values for talk in talks["new facts"])
    assert [t[0] for t in talks["new facts"]] == [t[0] for t in talks["do not know"]]
    told = dict(unknown.questions(lands.known))
    assert all(told[question["content"]] == answer["content"] for question, answer in talks["known"])


def test_nothing_is_true_of_a_land_nobody_told_of():
    assert {truth for _, truth in unknown.questions(["Bavo", UNTOLD_LANDS[0]])} == {None}


def test_arms_and_numbers_that_are_none():
    with pytest.raises(ValueError, match="no arm is called 'unknown': there are known, new facts, do not know"):
        unknown.conversations(unknown.split(0), "unknown", 0)
    with pytest.raises(ValueError, match="known must leave some of the 24 lands to ask about, got 24"):
        unknown.split(0, known=24)
    with pytest.raises(ValueError, match="names for 0 to 600 invented lands, got 601"):
        unknown.invented(601, random.Random(0))
