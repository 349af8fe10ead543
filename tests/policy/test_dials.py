"""The dials: by hand, and by summing over every action instead of sampling."""

import pytest
import torch

from llmrl.policy import dials
from llmrl.policy.heads import Softmax

ALL = torch.ones(4, dtype=torch.bool)


def test_both_estimates_have_the_exact_divergence_for_their_mean():
    old, new = Softmax(torch.tensor([0.3, -1.0, 0.8])), Softmax(torch.tensor([1.1, 0.2, -0.4]))
    ones = torch.ones(1, dtype=torch.bool)
    each = [dials.moved(new.logps()[a : a + 1], old.logps()[a : a + 1], ones) for a in range(3)]
    k1, k3 = torch.tensor(each).T
    chances = old.logps().exp()
    torch.testing.assert_close((chances * k1).sum(), old.kl(new))
    torch.testing.assert_close((chances * k3).sum(), old.kl(new))
    assert k1.min() < 0 <= k3.min()
    assert ((chances * k1).sum() - new.kl(old)).abs() > 0.05  # the other direction is another number


def test_nothing_moved_is_exactly_zero():
    logp = torch.randn(5, 4)
    for found in dials.moved(logp, logp, ALL.expand(5, -1)):
        assert (found == 0).all()


def test_the_clip_fraction_counts_both_sides_and_no_dead_step():
    ratio = torch.tensor([0.79, 0.81, 1.19, 1.21])
    assert dials.clip_fraction(ratio, ALL, 0.2, 0.2) == 0.5
    assert dials.clip_fraction(ratio, ALL, 0.2, 0.28) == 0.25
    assert dials.clip_fraction(ratio, torch.tensor([False, True, True, True]), 0.2, 0.2) == pytest.approx(1 / 3)


def test_explained_variance():
    ret = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert dials.explained_variance(ret, ret, ALL) == 1
    assert dials.explained_variance(ret + 7, ret, ALL) == 1  # a constant error is no variance
    assert dials.explained_variance(torch.zeros(4), ret, ALL) == 0
    assert dials.explained_variance(-ret, ret, ALL) == -3
    assert dials.explained_variance(torch.zeros(4), torch.ones(4), ALL).isnan()
    live = torch.tensor([True, True, True, False])
    assert dials.explained_variance(ret, torch.tensor([1.0, 2.0, 3.0, -99.0]), live) == 1
