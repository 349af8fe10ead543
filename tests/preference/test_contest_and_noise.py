"""Contests prompt by prompt, intervals over seeds, and the margin that noisy labels ask for: by hand and by search."""

import math
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference.contest import interval, win_rate
from llmrl.preference.losses import dpo, ipo, preference_loss, robust_dpo
from llmrl.preference.noise import best_margin, learned, right_share, votes
from llmrl.seeds import rng

rewards = st.lists(st.floats(-5, 5), min_size=2, max_size=20)


def test_a_contest_by_hand():
    rate, error = win_rate([1.0, 2.0, 3.0, 0.0], torch.tensor([0.0, 2.0, 5.0, -1.0]))  # won, drawn, lost, won
    assert rate == 0.625 and error == pytest.approx(math.sqrt((2 * 0.375**2 + 0.125**2 + 0.625**2) / 3) / 2)


@settings(max_examples=25, deadline=None)
@given(rewards, st.randoms(use_true_random=False))
def test_what_one_side_wins_the_other_loses(ours, pick):
    theirs = pick.sample(ours, len(ours))
    rate, error = win_rate(ours, theirs)
    assert rate + win_rate(theirs, ours)[0] == pytest.approx(1) and 0 <= rate <= 1 and 0 <= error <= 0.5
    assert win_rate(ours, ours) == (0.5, 0.0)


@pytest.mark.parametrize("bad", [([1.0], [0.0]), ([1.0, 2.0], [1.0]), ([], []), ([1.0, math.nan], [0.0, 0.0])])
def test_a_contest_has_two_sides(bad):
    with pytest.raises(ValueError, match="finite rewards for the same prompts, two or more"):
        win_rate(*bad)


def test_an_interval_by_hand():
    middle, half = interval([1.0, 2.0, 3.0])
    assert middle == 2 and half == pytest.approx(4.303 / math.sqrt(3))


@pytest.mark.parametrize("n", [2, 3, 6, 10])
def test_an_interval_holds_the_truth_95_times_in_100(n):
    """The quantiles are those of the t distribution: 20,000 samples of n normal numbers, whose mean is zero."""
    x = torch.randn(20_000, n, generator=rng(n, "coverage"), dtype=torch.float64)
    unit = interval([0.0, 1.0] * (n // 2) + [0.5] * (n % 2))
    spread = torch.tensor([0.0, 1.0] * (n // 2) + [0.5] * (n % 2), dtype=torch.float64).std().item()
    covered = (x.mean(1).abs() <= unit[1] / spread * x.std(1)).double().mean().item()
    assert covered == pytest.approx(0.95, abs=0.006)


@pytest.mark.parametrize("bad", [[], [1.0], [1.0] * 11, [0.0, math.inf]])
def test_an_interval_of_too_little(bad):
    with pytest.raises(ValueError, match="two to ten finite numbers, one per seed"):
        interval(bad)


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("noise", [0.1, 0.25, 0.4])
def test_the_best_margin_is_the_one_a_search_finds(noise, flip):
    grid = torch.linspace(-5, 5, 100_001, dtype=torch.float64)
    seen = (1 - noise) * preference_loss(grid, flip) + noise * preference_loss(-grid, flip)
    assert best_margin(noise, flip).item() == pytest.approx(grid[seen.argmin()].item(), abs=2e-4)
    assert right_share(noise, flip).item() == pytest.approx(grid[seen.argmin()].sigmoid().item(), abs=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.floats(0, 0.49), st.floats(-20, 20))
def test_over_flips_the_robust_loss_is_the_clean_one(noise, margin):
    m, zero = torch.tensor([margin], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)
    kept, flipped = robust_dpo(m, zero, zero, zero, 1.0, noise), robust_dpo(zero, m, zero, zero, 1.0, noise)
    torch.testing.assert_close((1 - noise) * kept + noise * flipped, preference_loss(m), atol=1e-9, rtol=1e-9)


def test_without_noise_no_margin_is_enough():
    assert best_margin(0.0).item() == math.inf and best_margin(0.5).item() == 0
    assert best_margin([0.1, 0.9]).tolist() == pytest.approx([math.log(9), -math.log(9)])


@pytest.mark.parametrize("bad", [(-0.1, 0.0), (1.1, 0.0), (0.1, 0.5), (0.1, -0.1), (math.nan, 0.0)])
def test_shares_are_shares(bad):
    with pytest.raises(ValueError, match=r"noise must be in \[0, 1\] and flip in \[0, 0.5\)"):
        best_margin(*bad)


REWARD = torch.tensor([[0.0, 1.0, 2.0], [1.0, -1.0, 0.0]])


def test_votes_by_count():
    wins = votes(REWARD, 3000, 0.2, rng(0, "votes"))
    assert wins.shape == (2, 3, 3) and (wins.sum((1, 2)) == 3000).all() and not wins.diagonal(dim1=1, dim2=2).any()
    right = REWARD[:, :, None] > REWARD[:, None, :]
    assert ((wins[right] / 1000 - 0.8).abs() < 0.05).all() and ((wins.mT[right] / 1000 - 0.2).abs() < 0.05).all()
    assert torch.equal(votes(REWARD, 50, 1.0, rng(1)), votes(REWARD, 50, 0.0, rng(1)).mT)


def test_a_table_learns_the_margin_that_the_votes_ask_for():
    """Two answers, three quarters of the votes for one: DPO's margin is log 3, and IPO's a half of 1 / (2 tau)."""
    wins = torch.tensor([[[0.0, 3.0], [1.0, 0.0]]])
    for loss, margin in ((partial(dpo, beta=0.5), math.log(3) / 0.5), (partial(ipo, tau=0.25), 0.5 / 0.5)):
        logp = learned(wins, loss)
        assert (logp[0, 0] - logp[0, 1]).item() == pytest.approx(margin, abs=0.01)
        assert logp.exp().sum().item() == pytest.approx(1, abs=1e-5)


def test_a_table_with_endless_votes_is_the_gibbs_policy():
    wins = 1000 * torch.sigmoid(REWARD[:, :, None] - REWARD[:, None, :])
    logp = learned(wins, partial(dpo, beta=0.5), steps=400)
    torch.testing.assert_close(logp, (REWARD / 0.5).log_softmax(-1), atol=5e-3, rtol=0)


@pytest.mark.parametrize(("reward", "n", "noise"), [(REWARD[0], 9, 0.1), (REWARD[:, :1], 9, 0.1), (REWARD, 0, 0.1),
                                                    (REWARD, 9, 1.1), (REWARD, 9, math.nan)])  # fmt: skip
def test_labels_compare_two_answers(reward, n, noise):
    with pytest.raises(ValueError, match="a label compares two answers"):
        votes(reward, n, noise, rng(0))


@pytest.mark.parametrize("wins", [torch.zeros(1, 2, 2), torch.ones(2, 2), torch.ones(1, 2, 3), -torch.ones(1, 2, 2)])
def test_nothing_is_learned_from_no_votes(wins):
    with pytest.raises(ValueError, match=r"wins must be \(P, Y, Y\) counts"):
        learned(wins, partial(dpo, beta=0.5))
