"""IPO, SimPO, ORPO, KTO, RRHF and DPO under flipped labels: by hand, by enumeration, and apart from near misses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import losses
from llmrl.preference.losses import cdpo, dpo, ipo, kto, log_odds, orpo, preference_loss, robust_dpo, rrhf, simpo
from llmrl.seeds import rng

LOGP = [torch.tensor(x) for x in ([-3.0, -8.0], [-5.0, -6.0], [-4.0, -9.0], [-4.6, -7.5])]  # w, l, ref w, ref l
LENGTH = [torch.tensor(x) for x in ([2, 4], [5, 2])]
GOOD = torch.tensor([True, False])
RANKED = torch.tensor([[-2.0, -6.0, -3.0]]), torch.tensor([[2, 2, 3]]), torch.tensor([[1.0, 2.0, 0.0]])
logps = st.lists(st.floats(-200, -1e-3), min_size=1, max_size=5)


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_ipo_by_hand():
    # h = (-3+4) - (-5+4.6) = 1.4 and (-8+9) - (-6+7.5) = -0.5; the margin asked for is 1 / (2 * 0.25) = 2
    torch.testing.assert_close(ipo(*LOGP, tau=0.25), torch.tensor([0.36, 6.25]))


def test_simpo_by_hand():
    # means -1.5, -2 and -1, -3; margins 2 (-0.5) - 0.5 and 2 (1) - 0.5
    expected = preference_loss(torch.tensor([-1.5, 1.5]))
    torch.testing.assert_close(simpo(*LOGP[:2], *LENGTH, beta=2.0, gamma=0.5), expected)


def test_orpo_by_hand():
    half, fifth = torch.tensor([2 * math.log(0.5)]), torch.tensor([math.log(0.2)])  # P = 1/2 per token, P = 1/5
    loss = orpo(half, fifth, torch.tensor([2]), torch.tensor([1]), lam=0.5)
    assert loss.item() == pytest.approx(math.log(2) + 0.5 * math.log(1 + 1 / 4))  # odds 1 and 1/4


def test_kto_by_hand():
    # r = 1 and -0.5; the reference point 0.5 leaves 0.5 and -1
    loss = kto(LOGP[0], torch.tensor([-4.0, -7.5]), GOOD, kl=0.5, beta=2.0, weights=(1.0, 3.0))
    torch.testing.assert_close(loss, torch.tensor([1 - sigmoid(1.0), 3 * (1 - sigmoid(2.0))]))


def test_rrhf_by_hand():
    # p = -1, -3, -1; the best is the second: it is beaten by 2 twice, and the third equals the first
    assert rrhf(*RANKED).item() == pytest.approx(4.0 + 6.0)
    assert rrhf(*RANKED, weight=0.5).item() == pytest.approx(2.0 + 6.0)


def test_the_reference_point_is_a_mean_cut_off_at_zero():
    assert losses.reference_point(torch.tensor([-1.0, -4.0]), torch.tensor([-2.0, -4.5])).item() == 0.75
    assert losses.reference_point(torch.tensor([-3.0, -4.0]), torch.tensor([-2.0, -4.5])).item() == 0.0
    assert not losses.reference_point(torch.ones(2, requires_grad=True), torch.zeros(2)).requires_grad


def test_robust_dpo_averages_to_the_clean_loss_over_all_flips():
    """Exactly: (1 - flip) times the loss of the true label plus flip times that of the other is DPO's."""
    w, l, ref_w, ref_l = (x.double() for x in LOGP)
    for flip in (0.0, 0.1, 0.4):
        true, other = robust_dpo(w, l, ref_w, ref_l, 0.5, flip), robust_dpo(l, w, ref_l, ref_w, 0.5, flip)
        torch.testing.assert_close((1 - flip) * true + flip * other, dpo(w, l, ref_w, ref_l, 0.5))
    biased = (1 - 0.4) * cdpo(w, l, ref_w, ref_l, 0.5, 0.4) + 0.4 * cdpo(l, w, ref_l, ref_w, 0.5, 0.4)
    assert not torch.isclose(biased, dpo(w, l, ref_w, ref_l, 0.5)).any()


def test_without_flips_all_three_are_one():
    torch.testing.assert_close(cdpo(*LOGP, 0.5, 0.0), dpo(*LOGP, 0.5))
    torch.testing.assert_close(robust_dpo(*LOGP, 0.5, 0.0), dpo(*LOGP, 0.5))


def test_the_optimum_of_ipo_is_the_gibbs_policy_of_the_win_rate():
    """Azar et al.'s theorem, on three answers whose order never varies: DPO has no optimum there, IPO has this one."""
    ref = torch.randn(3, generator=rng(0), dtype=torch.float64).log_softmax(-1)
    logits, tau = torch.zeros(3, dtype=torch.float64, requires_grad=True), 0.2
    w, l = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-13, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        logp = logits.log_softmax(-1)
        loss = ipo(logp[w], logp[l], ref[w], ref[l], tau).sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    rate = torch.tensor([5 / 6, 3 / 6, 1 / 6], dtype=torch.float64)  # against an answer drawn from all three
    torch.testing.assert_close(logits.detach().softmax(-1), (ref + rate / tau).softmax(-1), atol=1e-8, rtol=0)


@settings(max_examples=30)
@given(logps, st.floats(0.01, 5), st.floats(-3, 3))
def test_a_shift_of_both_sides_changes_no_margin(values, scale, shift):
    w = torch.tensor(values, dtype=torch.float64)
    l, ref = w.flip(0) - 1, w / 2
    for loss in (dpo, ipo):
        torch.testing.assert_close(loss(w + shift, l + shift, ref, ref, scale), loss(w, l, ref, ref, scale))
    ones = torch.ones(len(w))
    torch.testing.assert_close(simpo(w + shift, l + shift, ones, ones, scale), simpo(w, l, ones, ones, scale))


@settings(max_examples=30)
@given(logps, st.integers(1, 50))
def test_shapes_dtypes_and_signs(values, n):
    w = torch.tensor(values)
    l, length = w - 0.5, torch.full(w.shape, n)
    found = {
        "ipo": ipo(w, l, l, w, 0.1), "simpo": simpo(w, l, length, length), "orpo": orpo(w, l, length, length),
        "kto": kto(w, l, w > -5, 0.2), "rrhf": rrhf(*(torch.stack(x, 1) for x in ([w, l], [length] * 2, [l, w]))),
    }  # fmt: skip
    for name, loss in found.items():
        assert loss.shape == w.shape and loss.dtype == w.dtype and loss.isfinite().all() and (loss >= 0).all(), name


def test_nothing_gives_nothing():
    none = torch.zeros(0)
    assert all(
        loss.shape == (0,)
        for loss in (ipo(none, none, none, none, 0.1), simpo(none, none, none, none), orpo(none, none, none, none),
                     kto(none, none, none.bool(), 0.0))
    )  # fmt: skip


@given(st.floats(-60, -1e-5))
def test_log_odds(logp):
    p = math.exp(logp)
    found = log_odds(torch.tensor([logp], dtype=torch.float64)).item()
    assert found == pytest.approx(logp - math.log1p(-p), rel=1e-9, abs=1e-9)


def test_a_certain_answer_has_finite_odds_and_gradients():
    logp = torch.tensor([0.0, -1e-9, -1e-3], requires_grad=True)
    log_odds(logp).sum().backward()
    assert log_odds(logp).isfinite().all() and logp.grad.isfinite().all()


def undivided():
    return 0.8 * dpo(*LOGP, 0.5) - 0.2 * dpo(LOGP[1], LOGP[0], LOGP[3], LOGP[2], 0.5)


WRONG = {
    "ipo through a sigmoid": (lambda: (0.5 - sigmoid_of(margin())).square(), lambda: ipo(*LOGP, 0.25)),
    "ipo with 1 / tau": (lambda: (margin() - 4).square(), lambda: ipo(*LOGP, 0.25)),
    "ipo without the reference": (lambda: (LOGP[0] - LOGP[1] - 2).square(), lambda: ipo(*LOGP, 0.25)),
    "simpo of sums": (lambda: preference_loss(2 * (LOGP[0] - LOGP[1]) - 1), lambda: simpo(*LOGP[:2], *LENGTH)),
    "simpo with gamma inside beta": (lambda: preference_loss(2 * (means() - 1)), lambda: simpo(*LOGP[:2], *LENGTH)),
    "simpo with gamma added": (lambda: preference_loss(2 * means() + 1), lambda: simpo(*LOGP[:2], *LENGTH)),
    "orpo of probabilities": (lambda: preference_loss(means()), lambda: orpo(*LOGP[:2], *LENGTH, 1.0) - mean_w()),
    "kto without its reference point": (lambda: kto(*LOGP[::2], GOOD, 0.0), lambda: kto(*LOGP[::2], GOOD, 0.7)),
    "kto with a logarithm": (lambda: preference_loss(signed()), lambda: kto(*LOGP[::2], GOOD, 0.7)),
    "robust without the division": (undivided, lambda: robust_dpo(*LOGP, 0.5, 0.2)),
}  # fmt: skip


def margin():
    return LOGP[0] - LOGP[1] - LOGP[2] + LOGP[3]


def sigmoid_of(x):
    return x.sigmoid()


def means():
    return LOGP[0] / LENGTH[0] - LOGP[1] / LENGTH[1]


def mean_w():
    return -LOGP[0] / LENGTH[0]


def signed():
    return torch.where(GOOD, 1, -1) * 0.1 * (LOGP[0] - LOGP[2] - 0.7)


@pytest.mark.parametrize("name", WRONG)
def test_the_usual_mistakes_give_another_loss(name):
    wrong, right = WRONG[name]
    assert not torch.isclose(wrong(), right(), atol=1e-3).any()


BAD = [
    (lambda: ipo(*LOGP, tau=0.0), "tau must be above 0, got 0.0: 1 / .2 tau. is the margin"),
    (lambda: ipo(*LOGP[:3], LOGP[3][:, None], 0.1), r"all four must be \(B,\)"),
    (lambda: simpo(*LOGP[:2], *LENGTH, beta=-1.0), "beta must be above 0, got -1.0"),
    (lambda: simpo(LOGP[0], LOGP[1][:1], LENGTH[0], LENGTH[1][:1]), r"both must be \(B,\)"),
    (lambda: simpo(*LOGP[:2], LENGTH[0], LENGTH[1][:1]), r"every answer needs its length, got \(2,\) and \(1,\)"),
    (lambda: simpo(*LOGP[:2], LENGTH[0], torch.tensor([3, 0])), "one token or more, got a length of 0: leave it out"),
    (lambda: orpo(*LOGP[:2], *LENGTH, lam=-0.1), "lam must be at least 0, got -0.1"),
    (lambda: kto(*LOGP[:2], GOOD.long(), 0.0), "desirable must be bool of shape .2,., got torch.int64"),
    (lambda: kto(*LOGP[:2], GOOD[:1], 0.0), "desirable must be bool of shape"),
    (lambda: kto(*LOGP[:2], GOOD, -0.1), "kl must be one number of at least 0"),
    (lambda: kto(*LOGP[:2], GOOD, math.nan), "kl must be one number of at least 0"),
    (lambda: kto(*LOGP[:2], GOOD, 0.1, weights=(1.0, -1.0)), "and the weights as well"),
    (lambda: losses.reference_point(torch.zeros(0), torch.zeros(0)), "mean over one answer or more, got none"),
    (lambda: rrhf(LOGP[0], LENGTH[0], LOGP[0]), r"must be \(B, K\) with K of at least 2"),
    (lambda: rrhf(*(x[:, :1] for x in RANKED)), "a single answer has no rank"),
    (lambda: cdpo(*LOGP, 0.1, 0.5), "at one half a label says nothing"),
    (lambda: robust_dpo(*LOGP, 0.1, 0.5), "at one half a label says nothing"),
]


@pytest.mark.parametrize("call, says", BAD, ids=[says[:30] for _, says in BAD])
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()


@pytest.mark.parametrize("bad", [math.nan, -math.inf, math.inf])
@pytest.mark.parametrize("side", [0, 1])
def test_log_probabilities_that_are_not_numbers_are_named(bad, side):
    four = [x.clone() for x in LOGP]
    four[side][1] = bad
    for call in (lambda: dpo(*four, 0.1), lambda: ipo(*four, 0.1), lambda: simpo(*four[:2], *LENGTH),
                 lambda: orpo(*four[:2], *LENGTH), lambda: kto(*four[:2], GOOD, 0.0)):  # fmt: skip
        with pytest.raises(ValueError, match=rf"must be finite, got {bad} at \[1\]: look for"):
            call()
