"""pass@k: against every way to choose k answers, against exact binomials, without bias, at its edges."""

from itertools import combinations
from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.reasoning.pass_at_k import curve, pass_at_k, plugged_in, tries_for


@pytest.mark.parametrize("n", [1, 2, 5, 8])
def test_it_is_the_mean_over_every_choice_of_k(n):
    for c in range(n + 1):
        answers = [1] * c + [0] * (n - c)
        for k in range(1, n + 1):
            choices = [max(chosen) for chosen in combinations(answers, k)]
            assert pass_at_k([c], n, k).item() == pytest.approx(sum(choices) / len(choices), abs=1e-12)


@given(st.integers(1, 400), st.data())
def test_it_is_the_ratio_of_binomials_also_where_they_are_huge(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    exact = 1 - comb(n - c, k) / comb(n, k)  # whole numbers of hundreds of digits, divided once
    assert pass_at_k([c], n, k).item() == pytest.approx(exact, abs=1e-9)


def expected(estimate, p, n, k):
    """The mean of an estimate over all numbers of right answers."""
    chances = torch.tensor([comb(n, c) * p**c * (1 - p) ** (n - c) for c in range(n + 1)], dtype=torch.float64)
    return (chances * estimate(range(n + 1), n, k)).sum().item()


@pytest.mark.parametrize("p", [0.01, 0.2, 0.7])
def test_it_has_no_bias_and_the_share_put_in_has_one(p):
    for n, k in ((8, 4), (10, 10), (40, 8)):
        truth = 1 - (1 - p) ** k
        assert expected(pass_at_k, p, n, k) == pytest.approx(truth, abs=1e-12)
        assert expected(plugged_in, p, n, k) < truth - 1e-4


@given(st.integers(2, 200), st.data())
def test_more_tries_and_more_right_answers_never_hurt(n, data):
    k = data.draw(st.integers(1, n - 1))
    now, later = pass_at_k(range(n + 1), n, k), pass_at_k(range(n + 1), n, k + 1)
    assert (later >= now - 1e-12).all() and (now.diff() >= -1e-12).all()
    assert now[0] == 0 and now[n] == 1 and ((now >= 0) & (now <= 1)).all()
    torch.testing.assert_close(pass_at_k(range(n + 1), n, 1), torch.arange(n + 1).double() / n)


def test_a_curve_is_the_mean_with_its_error():
    means, errors = curve([0, 4, 4, 0], 4, [1, 2])
    assert means == pytest.approx([0.5, 0.5]) and errors == pytest.approx([(1 / 3) ** 0.5 / 2] * 2)
    assert curve([1], 2, [1])[0] == [0.5] and curve([1], 2, [1])[1][0] != curve([1], 2, [1])[1][0]  # nan


def test_tries_for_a_target():
    assert tries_for([2, 2], 4, 0.5) == 1 and tries_for([2, 2], 4, 0.51) == 2 and tries_for([2, 2], 4, 1.0) == 3
    assert tries_for([0, 4], 4, 0.5) == 1 and tries_for([0, 4], 4, 0.6) is None  # one prompt is never solved
    assert tries_for([1], 8, 1.0) == 8


@given(st.lists(st.integers(0, 12), min_size=1, max_size=4), st.floats(0.01, 1))
def test_the_tries_are_enough_and_one_less_is_not(right, target):
    k = tries_for(right, 12, target)
    reached = [pass_at_k(right, 12, k).mean().item() for k in range(1, 13)]
    assert k == next((i + 1 for i, share in enumerate(reached) if share >= target - 1e-12), None)


@pytest.mark.parametrize("target", [0, -0.1, 1.1, float("nan")])
def test_a_target_that_is_no_share(target):
    with pytest.raises(ValueError, match=r"target must be a share in \(0, 1\]"):
        tries_for([1], 2, target)


@pytest.mark.parametrize("right, n, k, says", [
    ([3], 2, 1, r"one count from 0 to n = 2 per prompt, got \[3"),
    ([-1], 2, 1, "one count from 0 to n = 2"),
    ([0.5], 2, 1, r"got \[0.5\]"),
    ([[1]], 2, 1, "one count"),
    ([1], 2, 3, "k must be a whole number from 1 to n = 2, got 3: draw more answers to know pass@3"),
    ([1], 2, 0, "got 0"),
    ([1], 2, 1.0, "k must be a whole number"),
    ([0], 0, 1, "n must be a whole number of at least 1, got 0"),
])  # fmt: skip
def test_bad_input(right, n, k, says):
    with pytest.raises(ValueError, match=says):
        pass_at_k(right, n, k)
