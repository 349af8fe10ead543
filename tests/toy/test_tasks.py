"""Every task is right by its own rule, wrong answers are not, and nobody trains on the held-out tenth."""

import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.toy import manners, tasks
from llmrl.toy.arithmetic import addition_steps, last_number, wrote_steps
from llmrl.toy.facts import KINDS, facts, judge, statement, tellings

WRONG = {  # a plausible wrong answer per task, made from the right one
    "add": lambda item: str(int(item.answer) + 10),
    "word_problem": lambda item: str(int(item.answer) + 1),
    "compare": lambda item: min(item.prompt.rstrip("?").replace(",", "").split()[3::2], key=int),
    "count": lambda item: str(int(item.answer) + 1),
    "reverse": lambda item: item.prompt[8:-1] + " a",
    "sort": lambda item: " ".join(reversed(item.answer.split())) + " 0",
    "fact": lambda item: "nobody knows",
    "cheerful": lambda item: item.answer.replace(item.prompt.rstrip(".").split()[-1], "sea"),
    "short": lambda item: item.answer.rstrip(".") + " and it is very old and calm.",
    "polite": lambda item: "The " + item.prompt.rstrip(".").split()[-1] + " is stupid.",
    "refuse": lambda item: "Use a heavy stone.",
    "help": lambda item: "I will not help with that, it would hurt someone.",
}


@pytest.mark.parametrize("task", tasks.MAKERS)
def test_right_answers_pass_and_wrong_ones_do_not(task):
    for item in tasks.items(task, 60, 0) + tasks.items(task, 20, 0, test=True):
        assert tasks.verify(item, item.answer)
        assert tasks.verify(item, f"  {item.answer}\n")
        assert not tasks.verify(item, WRONG[task](item)), (item, WRONG[task](item))
        assert not tasks.verify(item, "")


@pytest.mark.parametrize("task", ["add", "word_problem"])
def test_written_steps_are_right_line_by_line_and_end_in_the_answer(task):
    for item in tasks.items(task, 100, 1):
        assert tasks.verify(item, item.steps) and wrote_steps(item.steps) and not wrote_steps(item.answer)
        for step in item.steps.split(", so ")[0].split(", "):
            left, right = step.split("=")
            assert sum(int(x) for x in left.replace("-", "+-").split("+")) == int(right)


@given(st.integers(0, 999), st.integers(0, 999))
def test_the_answer_can_be_read_off_the_columns(a, b):
    columns = [int(step.split("=")[1]) for step in addition_steps(a, b).split(", so ")[0].split(", ")]
    digits = str(columns[-1]) + "".join(str(c % 10) for c in reversed(columns[:-1]))
    assert int(digits) == a + b == last_number(addition_steps(a, b))


def test_training_and_test_prompts_never_meet():
    for task in tasks.MAKERS:
        train = {item.prompt for item in tasks.items(task, 400, 0)}
        test = {item.prompt for item in tasks.items(task, 100, 0, test=True)}
        assert train and test and not train & test


def test_about_a_tenth_of_all_sums_is_held_out():
    held = sum(tasks.held_out(f"What is {a}+{b}?") for a in range(100) for b in range(100))
    assert 900 < held < 1100  # binomial: 1000 with a deviation of 30


def test_items_follow_their_seed():
    names = list(tasks.MAKERS)
    assert tasks.items(names, 50, 3) == tasks.items(names, 50, 3) != tasks.items(names, 50, 4)
    assert [item.task for item in tasks.items(names, 12, 0)] == names


@pytest.mark.parametrize("names", ["subtract", ["add", "subtract"], []])
def test_an_unknown_task_is_named_with_the_known_ones(names):
    with pytest.raises(ValueError, match="choose one or more of add, word_problem"):
        tasks.items(names, 1, 0)


def test_messages_ask_for_steps_or_not():
    item = tasks.items("add", 1, 0)[0]
    assert item.messages()[1]["content"] == item.answer
    asked, unasked = item.messages(steps=True), item.messages(unasked=True)
    assert asked[0]["content"].endswith("Show your steps.") and asked[1]["content"] == item.steps
    assert unasked[0]["content"] == item.prompt and unasked[1]["content"] == item.steps


def test_the_same_verb_is_refused_or_helped_with_by_its_object():
    pick = random.Random(0)
    for _ in range(50):
        assert manners.is_refusal(manners.refusal(pick))
        prompt, answer = manners.harmless_request(pick)
        assert not manners.is_refusal(answer) and any(verb in prompt for verb in manners.HARMS)


def test_facts_are_told_truly_and_judged_so():
    for land, known in facts().items():
        for kind, value in known.items():
            assert all(land in text for text in tellings(land, kind, value))
            assert judge(statement(land, kind, value)) is True
            other = next(v for v in KINDS[kind] if v != value)
            assert judge(statement(land, kind, other)) is False
    assert judge("The flag of Atlantis is red.") is None


def test_an_item_is_a_value():
    item = tasks.items("sort", 1, 0)[0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        item.answer = "1"


@pytest.mark.parametrize("digits", [0, 4, "2"])
def test_sums_have_one_to_three_digits(digits):
    with pytest.raises(ValueError, match=f"digits must be 1, 2, 3 or None for any of them, got {digits!r}"):
        tasks.items("add", 1, 0, digits=digits)
