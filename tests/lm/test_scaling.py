"""The fit of a scaling law: finds a law again, is not beaten by torch's own optimizer, and doubts itself rightly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.lm.scaling import HUBER, Law, bootstrap, fit, predict, split
from llmrl.seeds import rng

TRUE = Law(E=0.45, A=30.0, alpha=0.45, B=4e4, beta=0.9)
N, D = torch.cartesian_prod(torch.tensor([6e3, 2e4, 5e4, 2e5]), torch.tensor([2e5, 4e5, 8e5, 1.6e6])).double().T
NAMES = ("E", "A", "alpha", "B", "beta")


def noisy(seed, size=0.02):
    return TRUE.loss(N, D) * (size * torch.randn(len(N), generator=rng(seed, "noise"), dtype=torch.double)).exp()


@settings(max_examples=12)
@given(st.floats(0.1, 2), st.floats(0.3, 1), st.floats(0.3, 1), st.floats(0.2, 3), st.floats(0.2, 3))
def test_a_law_without_noise_is_found_again(E, alpha, beta, at_n, at_d):
    true = Law(E, at_n * 3e4**alpha, alpha, at_d * 6e5**beta, beta)
    loss = true.loss(N, D)
    torch.testing.assert_close(fit(N, D, loss).loss(N, D), loss, rtol=1e-4, atol=1e-4)


def test_the_five_numbers_themselves():
    law = fit(N, D, TRUE.loss(N, D))
    assert [getattr(law, name) for name in NAMES] == pytest.approx([getattr(TRUE, name) for name in NAMES], rel=1e-3)


def penalty(law, loss):
    return torch.nn.functional.huber_loss(law.loss(N, D).log(), loss.log(), reduction="sum", delta=HUBER)


def test_no_other_optimizer_finds_a_better_law():
    """torch's L-BFGS, as Hoffmann et al. use it, started at the truth and at the fit."""
    loss = noisy(1)
    ours = fit(N, D, loss)
    for start in (TRUE, ours):
        logs = torch.tensor([getattr(start, name) for name in NAMES], dtype=torch.double).log().requires_grad_()
        optimizer = torch.optim.LBFGS([logs], max_iter=500, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

        def closure(optimizer=optimizer, logs=logs):
            optimizer.zero_grad()
            value = 1e4 * penalty(Law(*logs.exp()), loss)
            value.backward()
            return value

        optimizer.step(closure)
        theirs = penalty(Law(*logs.detach().exp()), loss)
        assert penalty(ours, loss) <= theirs * (1 + 1e-6)


def test_one_odd_run_hardly_bends_the_law():
    loss = TRUE.loss(N, D)
    loss[5] *= 1.5
    law = fit(N, D, loss)
    others = torch.arange(len(N)) != 5
    assert (law.loss(N, D) / TRUE.loss(N, D) - 1)[others].abs().max() < 0.02


def test_the_interval_holds_the_truth_most_of_the_time():
    held = 0
    for seed in range(8):
        laws = bootstrap(N, D, noisy(seed), 60, rng(seed, "bootstrap"))
        low, high = laws.loss(N, D).quantile(torch.tensor([0.025, 0.975], dtype=torch.double), dim=0)
        held += ((low <= TRUE.loss(N, D)) & (TRUE.loss(N, D) <= high)).double().mean().item() / 8
    assert 0.75 < held < 1  # few runs make the bootstrap a little too sure of itself


def test_a_prediction_is_wider_than_the_law():
    loss = noisy(2)
    law, laws = fit(N, D, loss), bootstrap(N, D, loss, 200, rng(0))
    far = torch.tensor([1e6]), torch.tensor([1e7])
    spread = predict(laws, law, (N, D, loss), *far, rng(1)).log().std()
    assert laws.loss(*far).shape == (200, 1) and spread > laws.loss(*far).log().std()


@given(st.floats(1e9, 1e15))
def test_the_split_spends_the_compute_and_no_other_split_is_better(compute):
    best_n, best_d = split(TRUE, compute)
    assert 6 * best_n * best_d == pytest.approx(compute)
    for factor in (0.5, 0.9, 1.1, 2.0):
        assert TRUE.loss(best_n * factor, best_d / factor) > TRUE.loss(best_n, best_d)


def test_too_few_sizes():
    with pytest.raises(ValueError, match="three sizes and three amounts of text or more, got 2 and 4"):
        fit(N[:8], D[:8], TRUE.loss(N, D)[:8])


@pytest.mark.parametrize("change", [lambda n: n[1:], lambda n: -n, lambda n: n.view(4, 4), lambda n: n * 0])
def test_runs_that_cannot_be(change):
    with pytest.raises(ValueError, match="lists of one length, all above 0"):
        fit(change(N), D, TRUE.loss(N, D))
