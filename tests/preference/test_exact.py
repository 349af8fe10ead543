"""Alignment by sums: the best policy against all others, three ways to it, and what makes it fail."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import exact
from llmrl.preference.bradley_terry import fit, vote, win_probability
from llmrl.preference.losses import implicit_reward
from llmrl.seeds import rng

REF = torch.tensor([0.5, 0.3, 0.15, 0.05]).double().log()
REWARD = torch.tensor([0.0, 1.0, -1.0, 2.0]).double()
sizes, betas = st.integers(1, 9), st.floats(0.05, 20)


def space(Y, seed=0, prompts=()):
    """A random reference and rewards for Y answers."""
    draw = [torch.randn(*prompts, Y, generator=rng(seed, "space", i), dtype=torch.float64) for i in range(2)]
    return draw[0].log_softmax(-1), 2 * draw[1]


def test_by_hand():
    weights = [0.5, 0.3 * math.e, 0.15 / math.e, 0.05 * math.e**2]
    expected = torch.tensor([w / sum(weights) for w in weights]).double()
    torch.testing.assert_close(exact.gibbs(REF, REWARD, 1.0).exp(), expected)
    assert exact.log_partition(REF, REWARD, 1.0).item() == pytest.approx(math.log(sum(weights)))


@given(sizes, betas, st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_every_policy_falls_short_by_beta_times_its_divergence_from_gibbs(Y, beta, seed):
    (ref, reward), (logp, _) = space(Y, seed, (3,)), space(Y, seed + 100, (3,))
    best, value = exact.gibbs(ref, reward, beta), exact.regularised_value(logp, ref, reward, beta)
    torch.testing.assert_close(best.exp().sum(-1), torch.ones(3).double())
    torch.testing.assert_close(
        exact.regularised_value(best, ref, reward, beta), beta * exact.log_partition(ref, reward, beta)
    )
    short = beta * (exact.log_partition(ref, reward, beta) - exact.divergence(logp, best))
    torch.testing.assert_close(value, short, atol=1e-10, rtol=1e-10)


@given(sizes, betas, st.integers(0, 50))
@settings(max_examples=12, deadline=None)
def test_the_reward_comes_back_up_to_one_number_per_prompt(Y, beta, seed):
    ref, reward = space(Y, seed, (2,))
    implied = implicit_reward(exact.gibbs(ref, reward, beta), ref, beta)
    offset = (reward - implied) / beta
    torch.testing.assert_close(offset, exact.log_partition(ref, reward, beta)[:, None].expand(2, Y))


def test_a_reward_moved_by_a_number_per_prompt_is_the_same_reward():
    ref, reward = space(5, 0, (2,))
    moved = reward + torch.tensor([[3.0], [-7.0]])
    torch.testing.assert_close(exact.gibbs(ref, moved, 0.3), exact.gibbs(ref, reward, 0.3))
    other = exact.gibbs(ref, reward + torch.arange(5.0), 0.3)
    assert not torch.allclose(other, exact.gibbs(ref, reward, 0.3), atol=0.1)


def test_beta_leads_from_greedy_to_the_reference():
    assert exact.gibbs(REF, REWARD, 1e-3).argmax() == REWARD.argmax()
    torch.testing.assert_close(exact.gibbs(REF, REWARD, 1e9), REF)
    prices = [exact.divergence(exact.gibbs(REF, REWARD, b), REF).item() for b in (0.1, 0.5, 1.0, 5.0)]
    assert prices == sorted(prices, reverse=True)


def test_an_answer_the_reference_never_gives():
    ref = torch.tensor([0.5, 0.5, 0.0]).double().log()
    best = exact.gibbs(ref, REWARD[:3], 0.5)
    assert best[2] == -math.inf and exact.divergence(best, ref).isfinite()
    assert exact.regularised_value(best, ref, REWARD[:3], 0.5).isfinite()
    assert exact.divergence(REF[:3].log_softmax(-1), ref) == math.inf


def value(z):
    return exact.regularised_value(z.log_softmax(-1), REF, REWARD, 1.0)


def loss(z):
    return -exact.dpo_loss(z.log_softmax(-1), REF, win_probability(REWARD), 1.0)


@pytest.mark.parametrize(
    ("objective", "steps", "rate", "natural"),
    [
        pytest.param(value, 1200, 2.0, False, marks=pytest.mark.slow),
        (value, 40, 0.5, True),
        (loss, 150, 8.0, False),
    ],
)
def test_three_ways_to_one_policy(objective, steps, rate, natural):
    *_, last = exact.climb(objective, REF.clone(), steps, rate, natural)
    torch.testing.assert_close(last.softmax(-1), exact.gibbs(REF, REWARD, 1.0).exp(), atol=1e-8, rtol=0)


def test_a_natural_step_of_one_over_beta_lands_at_once():
    (only,) = exact.climb(
        lambda z: exact.regularised_value(z.log_softmax(-1), REF, REWARD, 0.3), REF.clone(), 1, 1 / 0.3, True
    )
    torch.testing.assert_close(only.log_softmax(-1), exact.gibbs(REF, REWARD, 0.3), atol=1e-12, rtol=0)


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_on_votes_dpo_is_the_gibbs_policy_of_the_likeliest_scores(seed):
    """DPO in a table and a reward model followed to its optimum are one estimate."""
    wins = vote(REWARD, 30, rng(seed, "votes"))
    expected = exact.gibbs(REF, fit(wins), 0.7)
    *_, last = exact.climb(lambda z: -exact.dpo_loss(z.log_softmax(-1), REF, wins, 0.7), REF.clone(), 150, 30.0)
    torch.testing.assert_close(last.softmax(-1), expected.exp(), atol=1e-8, rtol=0)
    assert not torch.allclose(expected, exact.gibbs(REF, REWARD, 0.7), atol=1e-2)


def test_what_nobody_compares_is_not_decided():
    wins = win_probability(REWARD)
    wins[3], wins[:, 3] = 0, 0  # nobody looks at the best answer
    two = [REF.clone(), REF + torch.tensor([0.0, 0.0, 0.0, 5.0])]
    ends = [
        list(exact.climb(lambda z: -exact.dpo_loss(z.log_softmax(-1), REF, wins, 1.0), z, 120, 8.0))[-1] for z in two
    ]
    losses = [exact.dpo_loss(z.log_softmax(-1), REF, wins, 1.0) for z in ends]
    torch.testing.assert_close(*losses)
    assert (ends[0].softmax(-1) - ends[1].softmax(-1)).abs().max() > 0.3


def test_the_loss_is_a_mean_over_comparisons():
    wins = torch.zeros(4, 4).double()
    wins[1, 0], wins[0, 1] = 3, 1
    logp = REWARD.log_softmax(-1)
    margin = 0.5 * ((logp[1] - logp[0]) - (REF[1] - REF[0]))
    expected = -(3 * torch.nn.functional.logsigmoid(margin) + torch.nn.functional.logsigmoid(-margin)) / 4
    torch.testing.assert_close(exact.dpo_loss(logp, REF, wins, 0.5), expected)
    torch.testing.assert_close(exact.dpo_loss(logp, REF, 7 * wins, 0.5), expected)


@pytest.mark.parametrize("beta", [0.0, -1.0, math.nan])
def test_beta_is_a_price(beta):
    with pytest.raises(ValueError, match="beta must be above 0, got"):
        exact.gibbs(REF, REWARD, beta)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: exact.gibbs(REF, REWARD[:3], 1.0), "one number per answer"),
        (lambda: exact.gibbs(REF[:0], REWARD[:0], 1.0), "one answer or more"),
        (lambda: exact.gibbs(REF, REWARD * math.nan, 1.0), "reward must hold numbers, got nan for answer 0"),
        (lambda: exact.gibbs(REF * math.nan, REWARD, 1.0), "ref_logp must hold numbers, got nan"),
        (lambda: exact.gibbs(REF, 1 / (REWARD - 1), 1.0), "reward must hold numbers, got inf for answer 1"),
        (lambda: exact.gibbs(REF.exp(), REWARD, 1.0), "ref_logp must be log-probabilities of all answers.* 5.21"),
        (lambda: exact.divergence(REWARD, REF), "logp must be log-probabilities"),
        (lambda: exact.dpo_loss(REF, REF, torch.ones(4, 4), 1.0), "0 on its diagonal"),
        (lambda: exact.dpo_loss(REF, REF, torch.zeros(4, 4), 1.0), "not all 0"),
        (lambda: exact.dpo_loss(REF, REF, torch.ones(3, 3).triu(1), 1.0), r"got \(3, 3\)"),
        (lambda: next(exact.climb(value, REF.clone(), 1, 0.0)), "rate above 0"),
        (lambda: next(exact.climb(value, torch.arange(4), 1, 1.0)), "must be floats"),
    ],
)
def test_what_cannot_be_meant_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


def test_one_answer_has_no_choice():
    one = torch.zeros(1).double()
    assert exact.gibbs(one, one + 5, 0.1).item() == 0.0 and exact.log_partition(one, one + 5, 0.5).item() == 10.0


@pytest.mark.parametrize(
    "wrong",
    [
        lambda ref, r, beta: (ref + r * beta).log_softmax(-1),
        lambda ref, r, beta: (r / beta).log_softmax(-1),
        lambda ref, r, beta: ((ref + r) / beta).log_softmax(-1),
        lambda ref, r, beta: (ref - r / beta).log_softmax(-1),
        lambda ref, r, beta: ref,
    ],
    ids=["times beta", "no reference", "beta on both", "sign", "nothing learned"],
)
def test_the_usual_mistakes_are_worse(wrong):
    best = exact.regularised_value(exact.gibbs(REF, REWARD, 0.4), REF, REWARD, 0.4)
    assert exact.regularised_value(wrong(REF, REWARD, 0.4), REF, REWARD, 0.4) < best - 0.05
