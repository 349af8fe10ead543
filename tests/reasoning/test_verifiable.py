"""Rules that judge answers: by hand, on every item, at their holes; answers without an end; rules that fail."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.reasoning.verifiable import accuracy, brevity, form, game, nearly, rewarded, sums, total
from llmrl.toy import checkpoints, tasks

ITEM = tasks.Item("add", "What is 47+85?", "132", "7+5=12, 4+8+1=13, so 132")


@pytest.mark.parametrize("text, right, near, formed", [
    ("132", 1, 1, 0),
    (ITEM.steps, 1, 1, 1),
    (f" {ITEM.steps}\n", 1, 1, 1),
    ("130", 0, 1, 0),
    ("118", 0, 0, 0),
    ("132 or 133", 0, 1, 0),
    ("0+0=0, so 0", 0, 0, 1),
    ("1+1=3, so 132", 1, 1, 1),
    ("7+5=12, 4+8+1=13", 0, 0, 0),
    ("7+5=12 so 132", 1, 1, 0),
    ("so 132", 1, 1, 0),
    ("47+85=132, so 132", 1, 1, 0),
    ("no idea", 0, 0, 0),
    ("", 0, 0, 0),
])  # fmt: skip
def test_each_rule_by_hand(text, right, near, formed):
    assert (accuracy(ITEM, text), nearly(ITEM, text), form(ITEM, text)) == (right, near, formed)


def test_brevity_by_hand():
    assert [brevity(ITEM, text) for text in ("", "132", " 132 ", "x" * 48, "x" * 99)] == [1, 15 / 16, 15 / 16, 0, 0]
    assert brevity(ITEM, "1234", limit=8) == 0.5


@given(st.tuples(st.integers(1, 5), st.integers(1, 5)), st.integers(0, 99), st.booleans())
def test_every_written_solution_is_right_and_well_formed(digits, seed, test):
    for item in sums(3, digits, seed, test):
        a, b = item.prompt.removeprefix("What is ").removesuffix("?").split("+")
        assert (len(a), len(b)) == digits and int(item.answer) == int(a) + int(b)
        assert tasks.held_out(item.prompt) == test
        both = total({accuracy: 1.0, form: 0.2})
        assert both(item, item.steps) == 1.2 and both(item, item.answer) == 1.0


@pytest.mark.parametrize("n, digits", [(0, (3, 3)), (1, (0, 3)), (1, (3,)), (1, (3, 10)), (1.0, (3, 3))])
def test_sums_that_are_none(n, digits):
    with pytest.raises(ValueError, match="two numbers of digits from 1 to 9"):
        sums(n, digits, 0)


def test_a_game_judges_each_prompts_answers():
    words = checkpoints.tokenizer().encode
    prompts, judge = game(lambda step: [ITEM, *sums(1, (1, 1), step)])(0)
    assert len(prompts) == 2 and judge([[words("132"), words("131")], [words("99"), []]]) == [[1, 0], [0, 0]]


def test_an_answer_without_an_end_earns_nothing():
    answer = checkpoints.tokenizer().encode(ITEM.steps)
    for limit, earned in ((None, 1.0), (len(answer) + 1, 1.0), (len(answer), 0.0)):
        _, judge = game(lambda step: [ITEM], accuracy, limit=limit)(0)
        assert judge([[answer]]) == [[earned]]


def fragile(item, text):
    return 1 / (len(text) - 3)


def test_a_rule_that_raises():
    assert rewarded(fragile, ITEM, "1234") == 1 and rewarded(fragile, ITEM, "132", failed=-1) == -1
    says = r"raised ZeroDivisionError .* on the answer '132' to 'What is 47\+85\?': mend it"
    with pytest.raises(ValueError, match=says):
        rewarded(fragile, ITEM, "132")
    words = checkpoints.tokenizer().encode
    _, judge = game(lambda step: [ITEM], fragile, failed=0.0)(0)
    assert judge([[words("132"), words("1234")]]) == [[0.0, 1.0]]
    _, judge = game(lambda step: [ITEM], fragile)(0)
    with pytest.raises(ValueError, match="mend it, or say what such an answer earns"):
        judge([[words("132")]])


def test_a_rule_that_returns_no_number():
    with pytest.raises(ValueError, match="raised TypeError"):
        rewarded(lambda item, text: None, ITEM, "132")


