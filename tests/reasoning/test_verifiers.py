"""A verifier that errs: its formula against every case, and against dice; a verifier that raises."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.reasoning.search import best_of_n
from llmrl.reasoning.verifiers import accepted, best_of_n_odds, noisy, precision, scores, step_verdicts
from llmrl.seeds import rng
from llmrl.toy.arithmetic import addition_steps

CHANCE = st.floats(0, 1).map(lambda x: round(x, 3))


def by_enumeration(p, n, misses, fooled):
    """Every combination of right and wrong, accepted and rejected, and the first of the best, as best_of_n takes it."""
    kinds = [(r, a, (p if r else 1 - p) * ((1 - misses if a else misses) if r else (fooled if a else 1 - fooled)))
             for r in (0, 1) for a in (0, 1)]  # fmt: skip
    total = 0.0
    for case in itertools.product(kinds, repeat=n):
        chance = 1.0
        for _, _, c in case:
            chance *= c
        total += chance * best_of_n([r for r, _, _ in case], [a for _, a, _ in case])
    return total


@given(CHANCE, st.integers(1, 4), CHANCE, CHANCE)
def test_the_formula_is_the_sum_over_all_cases(p, n, misses, fooled):
    found = best_of_n_odds(p, n, misses, fooled)
    assert found.item() == pytest.approx(by_enumeration(p, n, misses, fooled), abs=1e-9)


def test_what_the_formula_says_at_its_ends():
    p = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    torch.testing.assert_close(best_of_n_odds(p, 5), 1 - (1 - p) ** 5)  # a verifier without errors
    torch.testing.assert_close(best_of_n_odds(p, 7, 0.5, 0.5), p)  # one that tosses a coin
    ceiling = precision(0.3, 0.1, 0.2)
    assert best_of_n_odds(0.3, 10_000, 0.1, 0.2).item() == pytest.approx(ceiling)
    assert accepted(0.3, 0.1, 0.2) == pytest.approx(0.27 + 0.14)
    assert best_of_n_odds(0.3, 50, 0.9, 0.1).item() == pytest.approx(0.3)  # as good as the coin
    assert best_of_n_odds(0.3, 50, 0.8, 0.6) < 0.3  # worse than it


def test_verdicts_err_as_often_as_they_say():
    right = torch.rand(20_000, generator=rng(0, "right")) < 0.4
    verdict = noisy(right, 0.1, 0.25, rng(0, "noise"))
    assert verdict.dtype == torch.bool
    assert (~verdict)[right].double().mean().item() == pytest.approx(0.1, abs=0.015)
    assert verdict[~right].double().mean().item() == pytest.approx(0.25, abs=0.015)
    assert torch.equal(noisy(right, 0, 0, rng(0, "noise")), right)


@pytest.mark.parametrize("errors", [(-0.1, 0), (0, 1.1), (float("nan"), 0)])
def test_errors_are_probabilities(errors):
    with pytest.raises(ValueError, match="must be a probability in"):
        noisy(torch.ones(1, dtype=torch.bool), *errors, rng(0))
    with pytest.raises(ValueError, match="must be a probability in"):
        best_of_n_odds(0.5, 2, *errors)


@pytest.mark.parametrize("p, n", [(0.5, 0), (1.5, 2), (float("nan"), 2)])
def test_a_budget_of_none_and_chances_that_are_none(p, n):
    with pytest.raises(ValueError, match="p must be chances"):
        best_of_n_odds(p, n)


def test_a_verifier_that_raises_is_named_with_its_answer():
    assert scores(lambda a: a == "132", ["132", "7"]) == [1.0, 0.0]
    with pytest.raises(ValueError, match="failed on answer 1, 'ten' .ValueError: invalid literal.*return a number"):
        scores(int, ["132", "ten"])
    with pytest.raises(ValueError, match="says nan about answer 0"):
        scores(lambda a: float("nan"), ["132"])
    with pytest.raises(ValueError, match="failed on answer 0.*TypeError"):
        scores(lambda a: None, ["132"])


def test_the_steps_of_a_sum():
    assert step_verdicts("7+5=12, 4+8+1=13, so 132") == [True, True]
    assert step_verdicts("7+5=12, 4+8=13, so 132") == [True, False]
    assert step_verdicts("15-1=14,") == [True] and step_verdicts("15-1=13,") == [False]
    assert step_verdicts("132") == [False] and step_verdicts("") == [] and step_verdicts("so 132") == []
    assert step_verdicts("7+=12, +7=7") == [False, False]
    assert all(step_verdicts(addition_steps(a, b)) == [True] * 3 for a, b in ((478, 718), (100, 999), (555, 545)))
