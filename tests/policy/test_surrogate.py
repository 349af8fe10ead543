"""The clipped surrogate: value and gradient in each of its corners, and the versions that are wrong in one of them."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmrl.policy.advantages import group_advantage
from llmrl.policy.surrogate import CHOICES, DAPO, DR_GRPO, GRPO, Surrogate, averaged, clip, ratios, relative, surrogate

groups = hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
                    elements=st.floats(-10, 10))  # fmt: skip
CORNERS = [  # ratio, advantage, objective, its gradient in the ratio
    (1.5, 1.0, 1.2, 0.0),  # better, and already far enough
    (0.5, 1.0, 0.5, 1.0),  # better, and made rarer by mistake: corrected
    (1.5, -1.0, -1.5, -1.0),  # worse, and made more frequent by mistake: corrected
    (0.5, -1.0, -0.8, 0.0),  # worse, and already far enough
    (1.1, 2.0, 2.2, 2.0),
    (0.9, -2.0, -1.8, -2.0),
    (1.0, 1.0, 1.0, 1.0),
    (1.0, -1.0, -1.0, -1.0),
    (1.5, 0.0, 0.0, 0.0),
]


def at(function, ratio, adv):
    ratio = torch.tensor([ratio], requires_grad=True)
    value = function(ratio, torch.tensor([adv]))
    return value.item(), torch.autograd.grad(value, ratio)[0].item()


@pytest.mark.parametrize("ratio, adv, value, slope", CORNERS)
def test_each_corner_by_hand(ratio, adv, value, slope):
    assert at(clip, ratio, adv) == pytest.approx((value, slope))


def clipped(ratio):
    return ratio.clamp(0.8, 1.2)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda r, a: r * a,
        lambda r, a: clipped(r) * a,
        lambda r, a: torch.maximum(r * a, clipped(r) * a),
        lambda r, a: torch.minimum(r, clipped(r)) * a,
        lambda r, a: torch.where(a > 0, torch.minimum(r * a, clipped(r) * a), torch.maximum(r * a, clipped(r) * a)),
        lambda r, a: torch.minimum(r * a, r.clamp(0.2, 0.2) * a),
    ],
    ids=["never clipped", "always clipped", "the larger", "clipped before the sign", "inverted below zero", "epsilon"],
)
def test_every_wrong_version_is_wrong_in_some_corner(wrong):
    assert any(at(wrong, r, a) != pytest.approx((value, slope)) for r, a, value, slope in CORNERS)


@given(st.floats(0.01, 10), st.floats(-3, 3), st.floats(0, 0.9), st.floats(0, 2))
def test_it_is_never_above_the_plain_objective_and_never_above_the_clipped(ratio, adv, low, high):
    ratio, adv = torch.tensor(ratio), torch.tensor(adv)
    assert clip(ratio, adv, low, high) <= ratio * adv
    assert clip(ratio, adv, low, high) == torch.minimum(ratio * adv, ratio.clamp(1 - low, 1 + high) * adv)


def test_the_two_bounds_are_separate():
    assert at(lambda r, a: clip(r, a, 0.2, 0.5), 1.4, 1.0) == pytest.approx((1.4, 1.0))
    assert at(lambda r, a: clip(r, a, 0.6, 0.2), 0.5, -1.0) == pytest.approx((-0.5, -1.0))


def test_one_advantage_per_answer_serves_all_its_tokens():
    ratio, adv = torch.tensor([[1.0, 1.5], [0.5, 1.0]]), torch.tensor([1.0, -1.0])
    torch.testing.assert_close(clip(ratio, adv[:, None]), torch.tensor([[1.0, 1.2], [-0.8, -1.0]]))
    with pytest.raises(ValueError, match=r"adv must have as many axes as ratio.*adv\[:, None\]"):
        clip(ratio, adv)  # would weigh tokens by their position


@pytest.mark.parametrize("low, high", [(-0.1, 0.2), (1.0, 0.2), (0.2, -0.1), (math.nan, 0.2), (0.2, math.nan)])
def test_bounds_that_exclude_one(low, high):
    with pytest.raises(ValueError, match=r"the ratio is kept in \[1-low, 1\+high\]"):
        clip(torch.ones(1), torch.ones(1), low, high)


# The family: ratios of tokens and of answers, and what an average lets weigh the same.

MASK = torch.tensor([[True, True, True, False], [True, False, False, False], [False, False, False, False]])
LOGP = torch.tensor([[-1.0, -2.0, -0.5, math.nan], [-3.0, 0.0, math.inf, 0.0], [0.0, -math.inf, 0.0, 0.0]])
OLD = torch.tensor([[-1.3, -1.7, -1.1, math.nan], [-2.0, 0.0, math.inf, 0.0], [0.0, -math.inf, 0.0, 0.0]])
ADV = torch.tensor([1.0, -1.0, 2.0])


@pytest.mark.parametrize(
    "level, first",
    [("token", [0.3, -0.3, 0.6]), ("sequence", [0.2, 0.2, 0.2]), ("product", [0.6, 0.6, 0.6])],
)
def test_the_ratio_of_a_token_of_an_answers_mean_and_of_its_product(level, first):
    found = ratios(LOGP, OLD, MASK, level)
    expected = torch.tensor([[*first, 0.0], [-1.0, 0.0, 0.0, 0.0], [0.0] * 4]).exp()  # padding may hold anything
    torch.testing.assert_close(found, expected)


def test_an_answer_of_one_token_has_one_ratio_whatever_the_level():
    one = MASK.clone()
    one[:, 1:] = False
    found = [ratios(LOGP, OLD, one, level) for level in CHOICES["level"]]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


@pytest.mark.parametrize(
    "how, weights",
    [
        (GRPO, [[1 / 9] * 3, [1 / 3], []]),  # an answer's tokens share what the answer has
        (DAPO, [[1 / 4] * 3, [1 / 4], []]),
        (replace(DR_GRPO, length=5), [[1 / 15] * 3, [1 / 15], []]),
    ],
    ids=["answer", "token", "length"],
)
def test_what_each_token_weighs(how, weights):
    x = torch.zeros(3, 4, requires_grad=True)
    (gradient,) = torch.autograd.grad(averaged(x, MASK, how), x)
    for row, mask, expected in zip(gradient, MASK, weights, strict=True):
        torch.testing.assert_close(row[mask], torch.tensor(expected))
    assert (gradient[~MASK] == 0).all()


@pytest.mark.parametrize("average", ["answer", "token", "length"])
def test_padding_may_hold_anything_and_leaves_no_gradient(average):
    how = Surrogate(average=average, length=4 if average == "length" else None)
    logp = LOGP.clone().requires_grad_()
    value = averaged(surrogate(logp, OLD, ADV, MASK, how), MASK, how)
    (gradient,) = torch.autograd.grad(value, logp)
    assert value.isfinite() and gradient.isfinite().all() and (gradient[~MASK] == 0).all()


def test_a_weight_has_no_gradient_of_its_own():
    """CISPO: a token far beyond the clip still learns, with the clipped ratio as its weight."""
    how, old = Surrogate(form="weight", low=1.0, high=0.5), torch.tensor([[-4.0, -1.0]])
    logp = torch.tensor([[-1.0, -1.2]], requires_grad=True)
    (gradient,) = torch.autograd.grad(surrogate(logp, old, torch.ones(1), old < 0, how).sum(), logp)
    torch.testing.assert_close(gradient, torch.tensor([[1.5, math.exp(-0.2)]]))
    (clipped,) = torch.autograd.grad(surrogate(logp, old, torch.ones(1), old < 0).sum(), logp)
    torch.testing.assert_close(clipped, torch.tensor([[0.0, math.exp(-0.2)]]))


@given(st.integers(1, 6), st.integers(1, 5), st.sampled_from(sorted(CHOICES["form"])), st.randoms())
def test_where_the_policy_has_not_moved_every_level_has_one_gradient(B, T, form, dice):
    """The first step after sampling: all ratios are 1, and an answer's mean of scores is what each level follows."""
    old = -torch.rand(B, T, generator=torch.Generator().manual_seed(dice.randrange(10**6)))
    mask = torch.arange(T) < torch.randint(0, T + 1, (B, 1), generator=torch.Generator().manual_seed(B))
    slopes = []
    for level in ("token", "sequence"):
        logp, how = old.clone().requires_grad_(), Surrogate(level=level, form=form)
        value = averaged(surrogate(logp, old, torch.arange(B) - 1.0, mask, how), mask, how)
        slopes += torch.autograd.grad(value, logp)
    torch.testing.assert_close(*slopes)


def test_ppo_on_tokens_is_the_same_surrogate_with_an_advantage_per_token():
    mask, generator = torch.ones(3, 4, dtype=torch.bool), torch.Generator().manual_seed(0)
    logp, old, adv = (torch.randn(3, 4, generator=generator) for _ in range(3))
    how = Surrogate(average="token")
    plain = clip((logp - old).exp().flatten(), adv.flatten()).mean()
    torch.testing.assert_close(averaged(surrogate(logp, old, adv, mask, how), mask, how), plain)


@pytest.mark.parametrize("level", CHOICES["level"])
def test_a_ratio_without_bound_is_refused(level):
    far = torch.where(MASK, -200.0, OLD)
    with pytest.raises(ValueError, match="ratio must be finite, got inf: logp and old_logp are too far apart"):
        surrogate(LOGP, far, ADV, MASK, Surrogate(level=level))
    with pytest.raises(ValueError, match="ratio must be finite, got inf"):
        clip(torch.tensor([1.0, math.inf]), torch.ones(2))


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"level": "answer"}, "level must be one of 'token', 'sequence', 'product', got 'answer'"),
        ({"scale": True}, "scale must be one of 'group', 'batch', None, got True"),
        ({"average": "length"}, "needs length, the number of tokens"),
        ({"average": "length", "length": 0}, "needs length, the number of tokens"),
        ({"length": 8}, "no other average has one"),
        ({"low": -0.1}, r"the ratio is kept in \[1-low, 1\+high\]"),
        ({"low": 1.0}, r"the ratio is kept in \[1-low, 1\+high\]"),
        ({"form": "weight", "low": 1.1}, r"the ratio is kept in \[1-low, 1\+high\]"),
    ],
)
def test_a_surrogate_that_cannot_be_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        Surrogate(**wrong)


# Advantages with the baseline and the scale of a surrogate.

BY_HAND = {
    ("mean", None): [[0.75, -0.25, -0.25, -0.25], [0.0] * 4],
    ("leave_one_out", None): [[1.0, -1 / 3, -1 / 3, -1 / 3], [0.0] * 4],
    ("batch", None): [[0.375, -0.625, -0.625, -0.625], [0.375] * 4],
    (None, None): [[1.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]],
    ("mean", "group"): [[1.5, -0.5, -0.5, -0.5], [0.0] * 4],
}


@pytest.mark.parametrize("baseline, scale", BY_HAND)
def test_every_baseline_by_hand(baseline, scale):
    rewards, expected = torch.tensor(BY_HAND[None, None]), torch.tensor(BY_HAND[baseline, scale])
    torch.testing.assert_close(relative(rewards, Surrogate(baseline=baseline, scale=scale), eps=1e-9), expected)


def test_the_scale_of_a_batch_is_one_number():
    how, deviation = Surrogate(baseline="batch", scale="batch"), math.sqrt(15 / 56)  # 5 of 8 earn 1
    expected = torch.tensor(BY_HAND["batch", None]) / deviation
    torch.testing.assert_close(relative(BY_HAND[None, None], how, eps=0), expected)


@given(groups)
def test_without_a_word_it_is_grpos(rewards):
    torch.testing.assert_close(relative(rewards), group_advantage(rewards), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(relative(rewards, DR_GRPO), group_advantage(rewards, scale=False))


@given(groups)
def test_an_answer_that_is_left_out_is_compared_with_the_others(rewards):
    found, G = relative(rewards, Surrogate(baseline="leave_one_out", scale=None)), rewards.shape[1]
    for i in range(G):
        expected = rewards[:, i] - rewards[:, [j for j in range(G) if j != i]].mean(1)
        torch.testing.assert_close(found[:, i], torch.from_numpy(expected).float(), atol=1e-5, rtol=1e-5)
