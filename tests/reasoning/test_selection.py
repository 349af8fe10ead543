"""The best of N from M scored answers: against every choice, and the share that cannot be passed."""

import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.reasoning.selection import best_weights, best_worth, divergence_bound

SCORES = st.lists(st.tuples(st.integers(0, 3), st.integers(-5, 5)), min_size=1, max_size=7)


def by_enumeration(score, worth, n):
    """Every choice of n, its best, the mean over those that share the highest score."""
    found = []
    for chosen in itertools.combinations(range(len(score)), n):
        top = max(score[i] for i in chosen)
        among = [worth[i] for i in chosen if score[i] == top]
        found.append(sum(among) / len(among))
    return sum(found) / len(found)


@given(SCORES, st.data())
def test_the_best_of_n_is_the_mean_over_every_choice(rows, data):
    score, worth = zip(*rows)
    n = data.draw(st.integers(1, len(rows)))
    assert best_worth(torch.tensor(score), torch.tensor(worth), n).item() == pytest.approx(
        by_enumeration(score, worth, n), abs=1e-9
    )


def test_a_true_verifier_gives_the_chance_that_one_of_n_is_right():
    for m, c in ((10, 3), (8, 0), (6, 6)):
        right = torch.tensor([1.0] * c + [0.0] * (m - c))
        for n in (1, 2, 5):
            one = 1 - math.comb(m - c, n) / math.comb(m, n)
            assert best_worth(right, right, n).item() == pytest.approx(one, abs=1e-12)


@pytest.mark.parametrize("m, n", [(5, 1), (5, 5), (300, 7), (4096, 1024)])
def test_the_weights_are_binomial_and_add_up_to_one(m, n):
    weights = best_weights(m, n)
    assert weights.sum().item() == pytest.approx(1.0)
    some = [n - 1, (n + m) // 2 - 1, m - 1]
    assert [weights[i].item() for i in some] == pytest.approx([math.comb(i, n - 1) / math.comb(m, n) for i in some])
    assert not weights[: n - 1].any()


def test_one_question_per_row():
    score, worth = torch.tensor([[1.0, 2, 3], [3, 2, 1]]), torch.tensor([[0.0, 0, 1], [0, 0, 1]])
    assert best_worth(score, worth, 3).tolist() == [1.0, 0.0]
    assert best_worth(score, worth, 1).tolist() == pytest.approx([1 / 3, 1 / 3])


@pytest.mark.parametrize("n", [0, 4, 1.5, -1])
def test_a_budget_that_is_none(n):
    with pytest.raises(ValueError, match="the best of n needs 1 <= n <= m answers"):
        best_worth(torch.zeros(3), torch.zeros(3), n)


def test_scores_have_to_be_numbers():
    with pytest.raises(ValueError, match="with 1 that are not finite"):
        best_worth(torch.tensor([0.0, math.nan]), torch.zeros(2), 1)
    with pytest.raises(ValueError, match=r"got \(2,\) scores"):
        best_worth(torch.zeros(2), torch.zeros(3), 1)


def test_the_divergence_of_the_best_of_n_reaches_its_bound_for_many_different_answers():
    for n in (1, 2, 8):
        p = best_weights(4000, n)  # of 4000 equally likely answers, each with a score of its own
        kl = torch.where(p > 0, p * (p * 4000).log(), 0.0).sum().item()
        assert kl == pytest.approx(divergence_bound(n), abs=2e-3)
    two = torch.tensor([0.25, 0.75])  # two equally likely answers: the best of 2 is the worse one a quarter of the time
    assert (two * (2 * two).log()).sum().item() < divergence_bound(2)
    with pytest.raises(ValueError, match="n must be at least 1, got 0"):
        divergence_bound(0)
