"""Gradients of the KL's estimators against finite differences and the KL's own gradient, also on a tree of texts."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference.exact import divergence
from llmrl.preference.token_tree import Tree
from llmrl.rlhf import kl
from llmrl.rlhf.kl_gradients import (
    answer_loss_gradient,
    answer_reward_gradient,
    corrected_gradient,
    loss_gradient,
    reward_gradient,
)
from llmrl.seeds import rng

ALL = (kl.k1, kl.k2, kl.k3)


def scores(*labels, shape=(6,)):
    return torch.randn(shape, generator=rng(0, *labels), dtype=torch.float64)


def two(seed=0, shape=(6,)):
    return scores(seed, "policy", shape=shape), scores(seed, "reference", shape=shape)


def slope(value, x, h=1e-6):
    """The gradient by finite differences, entry by entry: no autograd."""
    return torch.stack([(value(x + h * e) - value(x - h * e)) / (2 * h) for e in torch.eye(len(x), dtype=x.dtype)])


def same(a, b, tol=1e-8):
    torch.testing.assert_close(a, b, atol=tol, rtol=tol)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_k1_is_no_loss_k2_is_the_kl_and_k3_the_other_kl(seed):
    logits, ref = two(seed)
    same(loss_gradient(kl.k1, logits, ref), torch.zeros_like(logits))
    same(loss_gradient(kl.k2, logits, ref), slope(lambda x: kl.exact(x, ref), logits), 1e-6)
    same(loss_gradient(kl.k3, logits, ref), slope(lambda x: kl.exact(ref, x), logits), 1e-6)


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_the_other_kls_gradient_is_the_difference_of_the_two_distributions(seed):
    logits, ref = two(seed)
    same(loss_gradient(kl.k3, logits, ref), logits.softmax(-1) - ref.softmax(-1))


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_as_a_reward_k1_is_right_and_k3_is_off_by_the_other_kl(seed):
    logits, ref = two(seed)
    right, other = loss_gradient(kl.k2, logits, ref), loss_gradient(kl.k3, logits, ref)
    same(reward_gradient(kl.k1, logits, ref), right)
    same(reward_gradient(kl.k3, logits, ref), right - other)


def test_between_neighbours_all_but_two_lead_the_same_way():
    logits, direction = two()
    ref = logits + 1e-3 * direction
    right = loss_gradient(kl.k2, logits, ref)
    for near in (loss_gradient(kl.k3, logits, ref), reward_gradient(kl.k1, logits, ref)):
        assert (near - right).norm() < 1e-2 * right.norm()
    for none in (loss_gradient(kl.k1, logits, ref), reward_gradient(kl.k3, logits, ref)):
        assert none.norm() < 1e-2 * right.norm()


@pytest.mark.parametrize("old", [None, "someone else"])
@settings(max_examples=20)
@given(seed=st.integers(0, 1000))
def test_with_the_ratio_whatever_is_unbiased_is_right_whoever_drew_the_tokens(seed, old):
    logits, ref = two(seed)
    old = old and scores(seed, old)
    right = loss_gradient(kl.k2, logits, ref)
    same(corrected_gradient(kl.k1, logits, ref, old), right)
    same(corrected_gradient(kl.k3, logits, ref, old), right)
    wrong = corrected_gradient(kl.k2, logits, ref, old)
    same(wrong, slope(lambda x: kl.moments(kl.k2, x, ref)[0], logits), 1e-6)
    assert (wrong - right).norm() > 1e-4 * right.norm()


@pytest.mark.parametrize("gradient", [loss_gradient, reward_gradient, corrected_gradient])
@pytest.mark.parametrize("estimate", ALL)
def test_rows_do_not_meet_and_a_shift_changes_nothing(gradient, estimate):
    logits, ref = two(shape=(2, 3, 5))
    found = gradient(estimate, logits, ref)
    assert found.shape == (2, 3, 5)
    same(found[1, 2], gradient(estimate, logits[1, 2], ref[1, 2]))
    same(found.sum(-1), torch.zeros(2, 3, dtype=torch.float64))
    same(found, gradient(estimate, logits + 7.0, ref - 3.0))
    assert not logits.requires_grad


@pytest.mark.parametrize("gradient", [loss_gradient, reward_gradient, corrected_gradient])
def test_other_vocabularies_are_refused(gradient):
    with pytest.raises(ValueError, match="one vocabulary at the same positions"):
        gradient(kl.k1, torch.zeros(5), torch.zeros(6))


# ------------------------------------------------------------------------------------------------ moments


@pytest.mark.parametrize("estimate", ALL)
def test_moments_are_those_of_many_draws(estimate):
    logits, ref = two()
    logp, ref_logp = logits.log_softmax(-1), ref.log_softmax(-1)
    drawn = torch.multinomial(logp.exp(), 200_000, True, generator=rng(0, "draws"))
    values = estimate(logp, ref_logp)[drawn]
    mean, variance = kl.moments(estimate, logits, ref)
    assert abs(values.mean() - mean) < 5 * (variance / len(drawn)).sqrt()
    assert values.var().item() == pytest.approx(variance.item(), rel=0.05)


def test_a_token_that_hardly_ever_comes_makes_k3_wild():
    logits, ref = torch.tensor([10.0, -10.0]), torch.tensor([0.0, 0.0])
    (m1, v1), (m3, v3) = (kl.moments(estimate, logits, ref) for estimate in (kl.k1, kl.k3))
    same(m1, m3)
    assert v3 > 1e6 * v1 > 0 and m1.dtype == torch.float64


def test_moments_have_the_shape_of_the_positions():
    logits, ref = two(shape=(2, 3, 5))
    mean, variance = kl.moments(kl.k3, logits, ref)
    assert mean.shape == variance.shape == (2, 3)
    same(mean, kl.exact(logits, ref))
    with pytest.raises(ValueError, match="one vocabulary"):
        kl.moments(kl.k3, logits, ref[..., :4])


# ------------------------------------------------------------------------------------------------ texts

STOP = 2
TEXTS = [(*s, STOP) for n in range(3) for s in itertools.product((0, 1), repeat=n)]
TEXTS += [(*s, t) for s in itertools.product((0, 1), repeat=3) for t in (0, 1, STOP)]  # cut at four tokens


@pytest.fixture(scope="module")
def tree():
    return Tree(TEXTS)


def policies(tree, seed=0):
    return (scores(seed, who, shape=(len(tree.parent),)) for who in ("texts", "their reference"))


def test_step_logp_multiplies_to_the_answers(tree):
    mine, _ = policies(tree)
    steps = tree.step_logp(mine)
    same(steps.sum(1).exp().sum(), torch.ones((), dtype=torch.float64))
    for text, row in zip(TEXTS, steps):
        assert (row[: len(text)] < 0).all() and (row[len(text) :] == 0).all()


def sequence_kl(tree, ref):
    return lambda x: divergence(tree.answer_logp(x), tree.answer_logp(ref))


@pytest.mark.parametrize("seed", range(3))
def test_prices_to_come_give_the_gradient_of_the_whole_kl(tree, seed):
    mine, ref = policies(tree, seed)
    right = slope(sequence_kl(tree, ref), mine)
    same(answer_reward_gradient(tree, mine, ref), right, 1e-6)
    short = answer_reward_gradient(tree, mine, ref, gamma=0.0)
    assert (short - right).norm() > 0.05 * right.norm()


@pytest.mark.parametrize("seed", range(3))
def test_k2_per_token_forgets_what_comes_later(tree, seed):
    mine, ref = policies(tree, seed)
    same(answer_loss_gradient(kl.k1, tree, mine, ref), torch.zeros_like(mine))
    same(answer_loss_gradient(kl.k2, tree, mine, ref), answer_reward_gradient(tree, mine, ref, gamma=0.0))
    last = torch.tensor([len(b) == 4 for b in tree.beginnings])  # nothing comes behind these
    whole = answer_reward_gradient(tree, mine, ref)
    same(answer_loss_gradient(kl.k2, tree, mine, ref)[last], whole[last])
