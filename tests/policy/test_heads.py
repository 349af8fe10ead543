"""Heads beside torch.distributions, densities that add up to one, entropies by quadrature and by counting."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributions as peer

from llmrl.policy.heads import Gaussian, Softmax, Squashed, stretch
from llmrl.seeds import rng

seeds = st.integers(0, 10_000)


def drawn(seed, *shape):
    return torch.randn(shape, generator=rng(seed, "drawn"), dtype=torch.float64)


@settings(max_examples=15)
@given(seeds, st.integers(1, 5), st.integers(1, 4))
def test_softmax_is_torchs_categorical(seed, rows, actions):
    one, two = (Softmax(3 * drawn(seed + i, rows, actions)) for i in range(2))
    theirs = [peer.Categorical(logits=head.logits) for head in (one, two)]
    taken = one.sample(rng(seed, "taken"))
    torch.testing.assert_close(one.logp(taken), theirs[0].log_prob(taken))
    torch.testing.assert_close(one.entropy(), theirs[0].entropy())
    torch.testing.assert_close(one.kl(two), peer.kl_divergence(*theirs))
    assert (one.mode() == one.logps().argmax(-1)).all()


@settings(max_examples=15)
@given(seeds, st.integers(1, 5), st.integers(1, 3))
def test_gaussian_is_torchs_normal(seed, rows, joints):
    one, two = (Gaussian(drawn(seed + i, rows, joints), drawn(seed + i + 9, joints)) for i in range(2))
    theirs = [peer.Independent(peer.Normal(head.mean, head.log_std.exp().expand(rows, -1)), 1) for head in (one, two)]
    taken = one.sample(rng(seed, "taken"))
    torch.testing.assert_close(one.logp(taken), theirs[0].log_prob(taken))
    torch.testing.assert_close(one.entropy(), theirs[0].entropy())
    torch.testing.assert_close(one.kl(two), peer.kl_divergence(*theirs))


@settings(max_examples=15)
@given(seeds, st.integers(1, 3))
def test_squashed_is_torchs_transformed_normal(seed, joints):
    head = Squashed(drawn(seed, 4, joints), drawn(seed + 1, joints).clamp(-2, 0.5))
    base = peer.Normal(head.mean, head.log_std.exp().expand(4, -1))
    theirs = peer.Independent(peer.TransformedDistribution(base, peer.TanhTransform()), 1)
    taken, logp = head.draw(rng(seed, "taken"))
    torch.testing.assert_close(logp, theirs.log_prob(taken), atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(head.logp(taken), logp, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("log_std", [-1.5, 0.0, 1.0])
def test_a_squashed_density_adds_up_to_one_and_without_the_stretching_it_does_not(log_std):
    grid = torch.linspace(-12, 12, 20_001, dtype=torch.float64).tanh()  # dense at the edges
    head = Squashed(torch.tensor([0.4], dtype=torch.float64), torch.tensor([log_std], dtype=torch.float64))
    density = Squashed(head.mean.expand(len(grid), 1), head.log_std).logp(grid[:, None]).exp()
    assert torch.trapezoid(density, grid).item() == pytest.approx(1, abs=1e-4)
    forgotten = Gaussian(head.mean.expand(len(grid), 1), head.log_std).logp(grid.atanh()[:, None])
    assert torch.trapezoid(forgotten.exp(), grid).item() < 0.95
    entropy = -torch.trapezoid(density * density.clamp(min=1e-300).log(), grid)
    assert head.entropy().item() == pytest.approx(entropy.item(), abs=1e-3)


def test_samples_come_as_often_as_the_head_says():
    logits = torch.tensor([0.0, 1.0, -torch.inf, 2.0])
    taken = Softmax(logits.expand(100_000, -1)).sample(rng(0, "counted"))
    share = torch.bincount(taken, minlength=4) / 100_000
    assert share[2] == 0
    np.testing.assert_allclose(share, logits.softmax(-1), atol=0.01)


def test_a_forbidden_action_spoils_neither_entropy_nor_gradient():
    logits = torch.tensor([[0.0, 1.0, -torch.inf]], requires_grad=True)
    head = Softmax(logits)
    free = Softmax(logits[:, :2].detach())
    torch.testing.assert_close(head.entropy(), free.entropy())
    (head.entropy() + head.logp(torch.tensor([1]))).sum().backward()
    assert logits.grad.isfinite().all()


def test_gradients_run_through_a_gaussian_draw():
    mean, log_std = torch.zeros(5, 2, requires_grad=True), torch.zeros(2, requires_grad=True)
    Gaussian(mean, log_std).sample(rng(0, "draw")).sum().backward()
    assert (mean.grad == 1).all() and (log_std.grad != 0).all()


def test_stretching_is_finite_far_out_and_exact_near():
    u = torch.tensor([-1e4, -30.0, -1.0, 0.0, 1.0, 30.0, 1e4])
    naive = torch.log(1 - u.double().tanh() ** 2)
    assert stretch(u).isfinite().all()
    torch.testing.assert_close(stretch(u)[2:5].double(), naive[2:5], atol=1e-6, rtol=1e-6)


def test_an_action_on_the_edge_has_a_finite_logp():
    head = Squashed(torch.zeros(2, 1), torch.zeros(1))
    assert head.logp(torch.tensor([[1.0], [-1.0]])).isfinite().all()


@pytest.mark.parametrize(
    ("head", "actions"),
    [
        (Softmax(torch.zeros(3, 2)), torch.zeros(3, 1, dtype=torch.long)),
        (Softmax(torch.zeros(3, 2)), torch.zeros((), dtype=torch.long)),
        (Gaussian(torch.zeros(3, 2), torch.zeros(2)), torch.zeros(3)),
        (Squashed(torch.zeros(3, 2), torch.zeros(2)), torch.zeros(2)),
    ],
)
def test_actions_of_another_shape_are_refused(head, actions):
    with pytest.raises(ValueError, match="actions must be"):
        head.logp(actions)
