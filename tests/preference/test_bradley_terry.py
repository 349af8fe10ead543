"""Votes and scores: against autograd, torch's own optimizer, and by counting what cannot be known."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import bradley_terry as bt
from llmrl.seeds import rng

SCORES = torch.tensor([0.5, -1.0, 0.2, 1.3]).double()


def some_votes(seed=0, times=40):
    return bt.vote(SCORES, times, rng(seed, "votes"))


def test_by_hand():
    p = bt.win_probability(torch.tensor([math.log(3), 0.0]))
    torch.testing.assert_close(p, torch.tensor([[0.0, 0.75], [0.25, 0.0]]))
    wins = torch.tensor([[0.0, 3.0], [1.0, 0.0]])
    found = bt.log_likelihood(torch.tensor([math.log(3), 0.0]), wins)
    assert found.item() == pytest.approx(3 * math.log(0.75) + math.log(0.25))
    torch.testing.assert_close(bt.fit(wins), torch.tensor([math.log(3) / 2, -math.log(3) / 2]))  # 3 : 1


@given(st.integers(2, 7), st.integers(1, 50), st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_every_pair_gets_its_votes(Y, times, seed):
    scores = torch.randn(Y, generator=rng(seed), dtype=torch.float64)
    wins = bt.vote(scores, times, rng(seed, "votes"))
    assert wins.shape == (Y, Y) and not wins.diagonal().any() and (wins >= 0).all()
    assert ((wins + wins.T) == times * (1 - torch.eye(Y))).all()
    p = bt.win_probability(scores)
    torch.testing.assert_close(p + p.T, (1 - torch.eye(Y)).double())


def test_votes_come_as_often_as_the_model_says():
    wins = bt.vote(SCORES, 200_000, rng(0, "many"))
    torch.testing.assert_close(wins / 200_000, bt.win_probability(SCORES), atol=5e-3, rtol=0)


def test_the_information_is_minus_the_second_derivative():
    wins = some_votes()
    hessian = torch.autograd.functional.hessian(lambda s: bt.log_likelihood(s, wins), SCORES)
    torch.testing.assert_close(bt.information(SCORES, wins), -hessian)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_the_fit_is_the_top_of_the_likelihood(seed):
    wins, found = some_votes(seed), bt.fit(some_votes(seed))
    leaf = found.clone().requires_grad_()
    (slope,) = torch.autograd.grad(bt.log_likelihood(leaf, wins), leaf)
    assert slope.abs().max() < 1e-9 and abs(found.mean()) < 1e-12
    theirs = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([theirs], max_iter=200, tolerance_grad=1e-11, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = -sum(
            wins[i, j] * torch.nn.functional.logsigmoid(theirs[i] - theirs[j]) for i in range(4) for j in range(4)
        )
        loss.backward()
        return loss

    optimizer.step(closure)
    torch.testing.assert_close(found, theirs.detach() - theirs.detach().mean(), atol=1e-6, rtol=0)


def test_with_the_exact_shares_the_scores_come_back():
    torch.testing.assert_close(bt.fit(bt.win_probability(SCORES)), SCORES - SCORES.mean(), atol=1e-10, rtol=0)


def test_scores_far_apart_are_found_as_well():
    far = torch.tensor([0.0, 6.0, 12.0]).double()
    torch.testing.assert_close(bt.fit(bt.win_probability(far)), far - 6, atol=1e-6, rtol=0)


def test_a_hundred_times_the_votes_a_tenth_of_the_error():
    few, many = (bt.spread(SCORES, times * bt.win_probability(SCORES)) for times in (10, 1000))
    torch.testing.assert_close(few, 10 * many)


@pytest.mark.slow
def test_the_standard_error_is_that_of_repeated_surveys():
    error = torch.stack([(bt.fit(some_votes(seed)) - SCORES)[[0, 3]].diff() for seed in range(300)])
    assert error.std().item() == pytest.approx(bt.spread(SCORES, 40 * bt.win_probability(SCORES))[0, 3].item(), rel=0.2)


def test_a_constant_is_never_learned():
    torch.testing.assert_close(bt.log_likelihood(SCORES + 7, some_votes()), bt.log_likelihood(SCORES, some_votes()))


def test_who_always_wins_would_be_infinitely_better():
    wins = torch.tensor([[0.0, 5.0, 5.0], [0.0, 0.0, 3.0], [0.0, 2.0, 0.0]]).double()
    assert bt.connected(wins) == [[0], [1, 2]]
    with pytest.raises(ValueError, match=r"leave groups \[\[0\], \[1, 2\]\]"):
        bt.fit(wins)
    higher = [bt.log_likelihood(torch.tensor([s, 0.2, -0.2]).double(), wins) for s in (1.0, 5.0, 25.0)]
    assert higher[0] < higher[1] < higher[2]


def test_islands_have_no_common_zero():
    wins = torch.zeros(4, 4).double()
    wins[:2, :2], wins[2:, 2:] = some_votes()[:2, :2], some_votes()[2:, 2:]
    assert bt.connected(wins) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="ask about pairs across the groups"):
        bt.fit(wins)


def test_a_chain_is_enough():
    wins = torch.zeros(5, 5).double()
    for i in range(4):
        wins[i, i + 1], wins[i + 1, i] = 3, 1
    assert bt.connected(wins) == [[0, 1, 2, 3, 4]]
    torch.testing.assert_close(bt.fit(wins).diff(), torch.full((4,), -math.log(3)).double())


def test_a_circle_has_no_scores():
    wins = torch.tensor([[0, 9, 1], [1, 0, 9], [9, 1, 0]]).double()
    torch.testing.assert_close(bt.fit(wins), torch.zeros(3).double(), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: bt.vote(SCORES, 0, rng(0)), "times must be a whole number of at least 1, got 0"),
        (lambda: bt.vote(SCORES, 2.5, rng(0)), "got 2.5"),
        (lambda: bt.fit(torch.ones(2, 3)), r"\(Y, Y\) for two answers or more, got \(2, 3\)"),
        (lambda: bt.fit(torch.zeros(1, 1)), "two answers or more"),
        (lambda: bt.fit(torch.eye(3)), "nothing wins against itself"),
        (lambda: bt.fit(-some_votes()), "at least 0"),
        (lambda: bt.fit(some_votes() * math.nan), "at least 0"),
        (lambda: bt.log_likelihood(SCORES[:2], some_votes()), "a number for each of 4 answers"),
        (lambda: bt.log_likelihood(SCORES * math.nan, some_votes()), "4 that are not finite"),
    ],
)
def test_what_cannot_be_meant_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
