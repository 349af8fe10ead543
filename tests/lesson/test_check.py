"""Every kind of check holds for a true claim, fails for an untrue one with the numbers, and never passes on nothing."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from llmrl.lesson import check

NAN, INF = math.nan, math.inf
TRUE = [
    (check.that, (3 > 2,)),
    (check.that, (torch.tensor(True),)),
    (check.that, (np.bool_(True),)),
    (check.same, ([1, 2, 3], torch.tensor([1, 2, 3]))),
    (check.same, (np.arange(6).reshape(2, 3), torch.arange(6).reshape(2, 3))),
    (check.same, ("the cat", "the cat")),
    (check.same, ([[1, 2], [3]], [[1, 2], [3]])),
    (check.same, ({"a": torch.ones(2)}, {"a": [1.0, 1.0]})),
    (check.same, ([[1], []], [[1], []])),
    (check.same, (torch.zeros(2, 2), 0)),
    (check.close, (torch.tensor([0.1, 0.2]), [0.100001, 0.2])),
    (check.close, (torch.tensor(1.0, dtype=torch.bfloat16), 1.0)),
    (check.close, ([torch.tensor(1.0), torch.tensor(2.0)], [1.0, 2.0])),
    (check.close, ([-INF, INF, 1.0], [-INF, INF, 1.0])),
    (check.close, (torch.tensor([True, False]), [1.0, 0.0])),
    (check.greater, (torch.tensor([2.0, 3.0]), 1)),
    (check.less, (1, 2)),
    (check.between, ([0.0, 0.5, 1.0], 0, 1)),
    (check.increasing, ([1, 2, 3],)),
    (check.decreasing, (torch.tensor([3.0, 2.0, 1.0]),)),
    (check.shape, (torch.zeros(2, 3), (2, 3))),
    (check.shape, ([[1, 2]], torch.zeros(1, 2))),
    (check.significant, ([1.0, 1.1, 0.9],)),
]
FALSE = [
    (check.that, (False,), "condition is False"),
    (check.same, ([1, 2, 3], [1, 2, 4]), "at [2]: 3 and 4"),
    (check.same, ([1, 2], [1, 2, 3]), "(2,) and (3,)"),
    (check.same, ("the cat", "the dog"), "character 4"),
    (check.same, ([[1, 2], [3]], [[1, 2], [4]]), "at [1][0]"),
    (check.same, ([[1], [2, 3]], [[1], [2]]), "lengths differ"),
    (check.same, ({"a": 1}, {"b": 1}), "keys differ"),
    (check.same, (NAN, NAN), "nan and nan"),
    (check.same, ([], []), "nothing to compare"),
    (check.same, ("", ""), "nothing to compare"),
    (check.same, (torch.zeros(0, 3), torch.zeros(0, 3)), "nothing to compare"),
    (check.same, ("1", 1), "'1' and 1"),
    (check.close, (1.0, 1.1), "1 and 1.1"),
    (check.close, (torch.zeros(2, 2), torch.zeros(4)), "(2, 2) and (4,)"),
    (check.close, (torch.zeros(3), torch.tensor(0.0)), "(3,) and ()"),
    (check.close, ([0.0, NAN], [0.0, NAN]), "nan and nan"),
    (check.close, (INF, -INF), "inf and -inf"),
    (check.close, ([], []), "nothing to compare"),
    (check.close, ("text", 1.0), "where numbers were expected"),
    (check.greater, (3, 4), "3 and 4"),
    (check.greater, (4, 4), "4 and 4"),
    (check.greater, ([5, 3], [4, 3]), "1 of 2 entries"),
    (check.greater, (NAN, 0), "nan and 0"),
    (check.less, (4, 4), "4 and 4"),
    (check.less, (0, NAN), "0 and nan"),
    (check.between, ([0.0, 1.5], 0, 1), "1.5 and 1"),
    (check.between, (-1, 0, 1), "-1 and 0"),
    (check.between, (NAN, 0, 1), "nan"),
    (check.increasing, ([1, 3, 2],), "value 2 after value 1"),
    (check.increasing, ([1, 1],), "[1, 1]"),
    (check.increasing, ([1, NAN, 2],), "nan"),
    (check.increasing, ([1],), "no steps"),
    (check.decreasing, ([],), "no steps"),
    (check.decreasing, ([[3, 2], [1, 0]],), "no steps"),
    (check.shape, (torch.zeros(2, 3), (3, 2)), "(2, 3), where (3, 2)"),
    (check.shape, (3.0, (1,)), "()"),
    (check.significant, ([1.0, -1.0, 1.0],), "standard error"),
    (check.significant, ([1.0, 1.1, NAN],), "nan"),
    (check.significant, ([5.0],), "three or more"),
]


@pytest.mark.parametrize(("kind", "values"), TRUE, ids=lambda x: getattr(x, "__name__", None))
def test_a_true_claim_prints_itself_and_nothing_else(kind, values, capsys):
    assert kind("the claim", *values) is None
    assert capsys.readouterr().out == "✓ the claim\n"


@pytest.mark.parametrize(("kind", "values", "seen"), FALSE, ids=lambda x: getattr(x, "__name__", None))
def test_an_untrue_claim_names_itself_the_rule_and_the_numbers(kind, values, seen, capsys):
    with pytest.raises(check.CheckFailed) as failed:
        kind("the claim", *values)
    claim, rule, numbers = str(failed.value).splitlines()
    assert claim == "✗ the claim" and rule.startswith("  rule: ") and seen in numbers
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("kind", [check.same, check.close, check.greater, check.less])
def test_a_forgotten_claim_is_pointed_out(kind):
    with pytest.raises(TypeError, match="starts with its claim in words, got 3"):
        kind(3, 4, 5)


def test_that_refuses_what_is_not_one_truth():
    with pytest.raises(TypeError, match="reduce it"):
        check.that("all of them", torch.tensor([True, False]))
    with pytest.raises(TypeError, match="one True or False"):
        check.that("a list is not a claim", [1, 2])


def test_margins_and_slack():
    check.greater("by more than one", 3, 1, margin=1)
    check.decreasing("almost falling", [3, 3.05, 2], slack=0.1)
    check.close("relative", 1000.0, 1000.5, tol=0, rel=1e-3)
    for wrong in (
        lambda: check.greater("by more than two", 3, 1, margin=2),
        lambda: check.decreasing("almost falling", [3, 3.2, 2], slack=0.1),
        lambda: check.close("relative", 1000.0, 1002.0, tol=0, rel=1e-3),
    ):
        with pytest.raises(check.CheckFailed):
            wrong()


def test_one_long_text_among_many_costs_no_memory():
    texts = ["x" * 10**7, *["y"] * 5_000]  # as an array of texts of one width: 200 gigabytes
    check.same("texts", texts, list(texts))
    with pytest.raises(check.CheckFailed, match=r"part at character 0 at \[5000\]"):
        check.same("texts", texts, [*texts[:-1], "z"])


def test_raises_wants_the_kind_and_the_words(capsys):
    check.raises("a letter is no number", ValueError, lambda: int("a"), says="invalid literal")
    assert capsys.readouterr().out == "✓ a letter is no number\n"
    for call, says, seen in [
        (lambda: int("3"), "", "no error; the call returned 3"),
        (lambda: int("a"), "too large", "invalid literal"),
        (lambda: 1 / 0, "", "ZeroDivisionError"),
    ]:
        with pytest.raises(check.CheckFailed, match=seen):
            check.raises("a letter is no number", ValueError, call, says)


def test_a_failing_check_can_be_shown(capsys):
    with check.shown_failing():
        check.greater("three is more than four", 3, 4)
    shown = "✗ three is more than four\n  rule: a > b for every entry\n  seen: 3 and 4\n"
    assert capsys.readouterr().out == shown


def test_a_check_shown_failing_has_to_fail(capsys):
    with pytest.raises(check.CheckFailed, match="has to fail"):
        with check.shown_failing():
            check.greater("four is more than three", 4, 3)
    assert capsys.readouterr().out == ""
    check.greater("checks speak again afterwards", 4, 3)
    assert capsys.readouterr().out == "✓ checks speak again afterwards\n"


def test_other_errors_inside_a_shown_failure_are_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        with check.shown_failing():
            check.greater("never reached", 1 / 0, 3)


FINITE = arrays(np.float64, array_shapes(max_dims=3, max_side=4), elements=st.floats(-1e6, 1e6))


@given(FINITE, st.data())
def test_one_changed_entry_is_always_found(x, data):
    y = x.copy()
    place = data.draw(st.integers(0, x.size - 1))
    check.same("a copy", x, y)
    y.flat[place] += 1.0
    for kind in (check.same, check.close):
        with pytest.raises(check.CheckFailed, match="1 of|and"):
            kind("changed", x, y)


@given(FINITE, st.data())
def test_one_nan_fails_every_comparison(x, data):
    y = x.copy()
    y.flat[data.draw(st.integers(0, x.size - 1))] = NAN
    for kind in (check.same, check.close, check.greater, check.less):
        for pair in ((x, y), (y, x), (y, y)):
            with pytest.raises(check.CheckFailed):
                kind("nan proves nothing", *pair)
