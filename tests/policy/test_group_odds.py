"""Groups of right and wrong by exact sums: against brute force over all groups, closed forms, sampling."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy.group_odds import baseline_error, chances, moments, noise, signal, steps
from llmrl.policy.surrogate import DR_GRPO, GRPO, Surrogate, relative
from llmrl.seeds import rng

P = torch.tensor([0.05, 0.3, 0.5, 0.8], dtype=torch.float64)
HOWS = [GRPO, DR_GRPO, Surrogate(baseline="leave_one_out", scale=None), Surrogate(baseline=None, scale=None)]


@given(st.floats(0, 1), st.integers(2, 40))
def test_chances_add_up_and_have_the_binomial_mean(p, answers):
    chance = chances(p, answers)[0]
    assert chance.sum().item() == pytest.approx(1.0, abs=1e-9)
    assert (chance * torch.arange(answers + 1)).sum().item() == pytest.approx(answers * p, abs=1e-8)
    assert signal(p, answers).item() == pytest.approx(chance[1:-1].sum().item(), abs=1e-9)


@pytest.mark.parametrize("how", HOWS)
@pytest.mark.parametrize("answers", [2, 4, 5])
def test_moments_are_those_of_all_groups(how, answers):
    groups = torch.tensor(list(product([0.0, 1.0], repeat=answers)), dtype=torch.float64)
    mean, variance = moments(P, answers, how)
    for i, p in enumerate(P):
        chance = (p**groups * (1 - p) ** (1 - groups)).prod(1)
        step = (relative(groups, how).double() * (groups - p)).mean(1)
        assert (chance @ step).item() == pytest.approx(mean[i].item(), abs=1e-7)
        assert (chance @ (step - mean[i]).square()).item() == pytest.approx(variance[i].item(), abs=1e-7)


def test_closed_forms():
    """Centred: (G-1)/G of the gradient; without the answer itself: all of it; the step is k (G-k) / G^2."""
    true = P * (1 - P)
    torch.testing.assert_close(moments(P, 8, DR_GRPO)[0], true * 7 / 8, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(moments(P, 8, HOWS[2])[0], true, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(moments(P, 8, HOWS[3])[0], true, atol=1e-6, rtol=1e-6)
    k = torch.arange(9, dtype=torch.float64)
    torch.testing.assert_close(steps(P, 8, DR_GRPO)[1], k * (8 - k) / 64, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(baseline_error(P, 9), torch.full((4,), 1 / 3, dtype=torch.float64))


def test_noise_is_that_of_sampled_batches():
    generator, repeats, answers, samples = rng(0), 4000, 4, 32
    p = P[torch.randint(4, (repeats, samples // answers), generator=generator)]
    rewards = (torch.rand(repeats, samples // answers, answers, generator=generator) < p[..., None]).double()
    adv = relative(rewards.flatten(0, 1), GRPO).double().view(rewards.shape)
    batch = (adv * (rewards - p[..., None])).mean((1, 2))
    assert noise(P, samples, answers, GRPO) == pytest.approx((batch.std() / batch.mean()).item(), rel=0.06)


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match=r"p is a chance and lies in \[0, 1\], got 1.5"):
        signal([0.5, 1.5], 4)
    with pytest.raises(ValueError, match=r"p is a chance and lies in \[0, 1\], got nan"):
        moments(float("nan"), 4)
    with pytest.raises(ValueError, match="one group at a time"):
        moments(0.5, 4, Surrogate(scale="batch"))
    with pytest.raises(ValueError, match="2 or more answers"):
        moments(0.5, 1)
