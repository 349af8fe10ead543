"""KL and its estimators by exact enumeration: the sum over all outcomes instead of a sample."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rlhf.kl import exact, k1, k2, k3
from llmrl.seeds import rng


def two(seed=0, V=6):
    """Scores of a policy and of its reference over V outcomes."""
    return (torch.randn(V, generator=rng(seed, who), dtype=torch.float64) for who in ("policy", "reference"))


def expectation(estimate, logits, ref_logits):
    """The estimator's mean over outcomes of the policy, which is not differentiated through."""
    logp, ref_logp = logits.log_softmax(-1), ref_logits.log_softmax(-1)
    return (logp.detach().exp() * estimate(logp, ref_logp)).sum(-1)


def gradient(value, logits):
    return torch.autograd.grad(value, logits)[0]


@given(st.integers(0, 10_000), st.integers(2, 9))
def test_k1_and_k3_are_unbiased_and_k2_is_not(seed, V):
    logits, ref_logits = two(seed, V)
    kl = exact(logits, ref_logits)
    torch.testing.assert_close(expectation(k1, logits, ref_logits), kl)
    torch.testing.assert_close(expectation(k3, logits, ref_logits), kl)
    assert (expectation(k2, logits, ref_logits) - kl).abs() > 1e-6 * kl


def test_k2_is_nearly_right_for_neighbours():
    logits, direction = two()
    for distance, error in ((0.1, 0.1), (0.01, 0.01)):  # relative, shrinking with the distance
        near = logits + distance * direction
        kl = exact(logits, near)
        assert (expectation(k2, logits, near) / kl - 1).abs() < error


@given(st.floats(-60, 0), st.floats(-60, 0))
def test_k3_and_k2_are_never_negative_and_k1_may_be(logp, ref_logp):
    logp, ref_logp = torch.tensor(logp), torch.tensor(ref_logp)
    assert k3(logp, ref_logp) >= 0 and k2(logp, ref_logp) >= 0
    assert (k1(logp, ref_logp) < 0) == (logp < ref_logp)


def test_k3_keeps_its_digits_where_the_two_nearly_agree():
    logp = torch.tensor(-1.0)
    torch.testing.assert_close(k3(logp, logp + 1e-3), torch.tensor(5.0017e-7), rtol=0.1, atol=0)


def test_k3_varies_less_than_k1_between_neighbours():
    logits, direction = two()
    logp, ref_logp = logits.log_softmax(-1), (logits + 0.3 * direction).log_softmax(-1)
    p = logp.exp()

    def variance(x):
        return (p * x.square()).sum() - (p * x).sum().square()

    assert variance(k3(logp, ref_logp)) < 0.1 * variance(k1(logp, ref_logp))


@given(st.integers(0, 10_000))
def test_exact_is_torchs_kl_divergence(seed):
    logits, ref_logits = (torch.randn(3, 4, 7, generator=rng(seed, i)) for i in range(2))
    theirs = torch.nn.functional.kl_div(
        ref_logits.log_softmax(-1), logits.log_softmax(-1), reduction="none", log_target=True
    )
    torch.testing.assert_close(exact(logits, ref_logits), theirs.sum(-1), atol=1e-5, rtol=1e-5)
    assert exact(logits, ref_logits).shape == (3, 4) and (exact(logits, ref_logits) > -1e-6).all()
    torch.testing.assert_close(exact(logits + 5.0, ref_logits), exact(logits, ref_logits), atol=1e-5, rtol=1e-5)


def test_exact_is_zero_at_home_and_not_symmetric():
    logits, ref_logits = two()
    assert exact(logits, logits) == 0
    assert not torch.isclose(exact(logits, ref_logits), exact(ref_logits, logits))


def test_as_a_loss_k1_has_no_gradient_at_all():
    logits, ref_logits = two()
    logits.requires_grad_()
    none = gradient(expectation(k1, logits, ref_logits), logits)
    torch.testing.assert_close(none, torch.zeros_like(none), atol=1e-12, rtol=0)
    assert gradient(exact(logits, ref_logits), logits).abs().max() > 0.01


def test_as_a_loss_k2_has_the_gradient_of_the_kl():
    logits, ref_logits = two()
    logits.requires_grad_()
    found = gradient(expectation(k2, logits, ref_logits), logits)
    torch.testing.assert_close(found, gradient(exact(logits, ref_logits), logits))


def test_as_a_loss_k3_follows_the_other_kl():
    logits, ref_logits = two()
    logits.requires_grad_()
    found = gradient(expectation(k3, logits, ref_logits), logits)
    torch.testing.assert_close(found, gradient(exact(ref_logits, logits), logits))
    assert not torch.allclose(found, gradient(exact(logits, ref_logits), logits), atol=1e-2)


@pytest.mark.parametrize("shapes", [((2, 5), (2, 6)), ((2, 5), (5,)), ((2, 1, 5), (2, 3, 5))])
def test_other_vocabularies_or_positions_are_refused(shapes):
    with pytest.raises(ValueError, match="one vocabulary at the same positions.*the same ids"):
        exact(*map(torch.zeros, shapes))
