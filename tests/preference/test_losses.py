"""Losses on pairs: by hand, by exact enumeration, and told apart from their usual mistakes."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.preference.losses import dpo, implicit_reward, preference_loss
from llmrl.seeds import rng

margins = st.floats(-50, 50)
LOGP = [torch.tensor(x) for x in ([-3.0, -8.0], [-5.0, -6.0], [-4.0, -9.0], [-4.6, -7.5])]  # w, l, ref w, ref l


def test_by_hand():
    loss = preference_loss(torch.tensor([0.0, math.log(3), -math.log(3)]))
    torch.testing.assert_close(loss, torch.tensor([math.log(2), math.log(4 / 3), math.log(4)]))
    loss = preference_loss(torch.tensor([math.log(3)]), flip=0.1)
    assert loss.item() == pytest.approx(0.9 * math.log(4 / 3) + 0.1 * math.log(4))


def test_dpo_by_hand():
    # implicit rewards 0.5 (-3+4) = 0.5 and 0.5 (-5+4.6) = -0.2; then 0.5 (-8+9) = 0.5 and 0.5 (-6+7.5) = 0.75
    expected = torch.tensor([math.log(1 + math.exp(-0.7)), math.log(1 + math.exp(0.25))])
    torch.testing.assert_close(dpo(*LOGP, beta=0.5), expected)


@given(margins, st.floats(0, 0.49))
def test_a_flip_mixes_the_two_labels(margin, flip):
    m = torch.tensor([margin], dtype=torch.float64)
    mixed = (1 - flip) * preference_loss(m) + flip * preference_loss(-m)
    torch.testing.assert_close(preference_loss(m, flip), mixed)
    assert preference_loss(m, flip) >= 0


@pytest.mark.parametrize("flip", [0.0, 0.1, 0.3])
def test_the_best_margin_says_how_often_labels_are_flipped(flip):
    grid = torch.linspace(-10, 10, 20001, dtype=torch.float64)
    best = grid[preference_loss(grid, flip).argmin()].item()
    assert best == pytest.approx(math.log((1 - flip) / flip) if flip else 10.0, abs=1e-3)


def test_a_margin_of_a_thousand_is_not_nan():
    m = torch.tensor([1000.0, -1000.0], requires_grad=True)
    loss = preference_loss(m, 0.1)
    loss.sum().backward()
    assert loss.isfinite().all() and m.grad.isfinite().all()


def test_the_gradient_weighs_a_pair_by_how_wrong_it_is():
    logp = [x.clone().double().requires_grad_() for x in LOGP[:2]]
    ref = [x.double() for x in LOGP[2:]]
    dpo(*logp, *ref, beta=0.3).sum().backward()
    r_w, r_l = (implicit_reward(x.detach(), y, 0.3) for x, y in zip(logp, ref))
    torch.testing.assert_close(logp[0].grad, -0.3 * torch.sigmoid(r_l - r_w))
    torch.testing.assert_close(logp[1].grad, 0.3 * torch.sigmoid(r_l - r_w))


@pytest.mark.parametrize(
    "wrong",
    [
        lambda w, l, rw, rl, beta: dpo(l, w, rl, rw, beta),
        lambda w, l, rw, rl, beta: dpo(w, l, rl, rw, beta),
        lambda w, l, rw, rl, beta: dpo(rw, rl, w, l, beta),
        lambda w, l, rw, rl, beta: dpo(w, l, rw, rl, 1.0),
        lambda w, l, rw, rl, beta: preference_loss(beta * (w - l)),
        lambda w, l, rw, rl, beta: preference_loss(implicit_reward(w, rw, beta)),
        lambda w, l, rw, rl, beta: -torch.sigmoid(beta * (w - l - rw + rl)),
    ],
    ids=["swapped", "references swapped", "policy for reference", "no beta", "no reference", "one side", "no log"],
)
def test_the_usual_mistakes_give_another_loss(wrong):
    assert not torch.isclose(wrong(*LOGP, beta=0.5), dpo(*LOGP, beta=0.5)).any()


def test_the_optimum_is_the_gibbs_policy():
    """On the exact preferences of a reward over four answers, DPO ends at pi_ref exp(r / beta) / Z."""
    reward, beta = torch.tensor([1.0, 0.2, -0.5, 0.6], dtype=torch.float64), 0.4
    ref = torch.randn(4, generator=rng(0), dtype=torch.float64).log_softmax(-1)
    logits = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    w, l = (~torch.eye(4, dtype=torch.bool)).nonzero().T
    wins = torch.sigmoid(reward[w] - reward[l])  # how often w is preferred to l
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        logp = logits.log_softmax(-1)
        loss = (wins * dpo(logp[w], logp[l], ref[w], ref[l], beta)).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    gibbs = (ref + reward / beta).softmax(-1)
    torch.testing.assert_close(logits.detach().softmax(-1), gibbs, atol=1e-4, rtol=0)
    assert not torch.allclose(gibbs, (ref + reward * beta).softmax(-1), atol=1e-2)


@pytest.mark.parametrize("flip", [-0.1, 0.5, 1.0, math.nan])
def test_a_flip_rate_that_says_nothing(flip):
    with pytest.raises(ValueError, match=r"flip must be in \[0, 0.5\), got"):
        preference_loss(torch.zeros(2), flip)


@pytest.mark.parametrize("beta", [0.0, -0.1, math.nan])
def test_beta_is_a_price(beta):
    with pytest.raises(ValueError, match="beta must be above 0, got .* 0.1 is usual"):
        dpo(*LOGP, beta)


@pytest.mark.parametrize("side", range(4))
@pytest.mark.parametrize("shape", [(2, 1), (1,), (3,), ()])
def test_shapes_that_would_be_spread_out_are_refused(side, shape):
    four = list(LOGP)
    four[side] = torch.zeros(shape)
    with pytest.raises(ValueError, match=r"all four must be \(B,\)"):
        dpo(*four, beta=0.1)


def test_log_probabilities_of_tokens_are_refused():
    with pytest.raises(ValueError, match="sum an answer's tokens"):
        dpo(*[torch.zeros(2, 3)] * 4, beta=0.1)
