"""Losses that hold the chosen answer: by hand, by their gradients, and TRL's where it has them."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference.cures import dpop, per_token, rpo
from llmrl.preference.losses import dpo

LOGP = [torch.tensor(x) for x in ([-3.0, -8.0], [-5.0, -6.0], [-4.0, -7.0], [-4.6, -7.5])]  # w, l, ref w, ref l
LENGTH = torch.tensor([2, 4])
four = st.lists(st.floats(-30, 0), min_size=4, max_size=4).map(lambda x: [torch.tensor([v]).double() for v in x])


def test_rpo_by_hand():
    expected = torch.tensor([math.log(1 + math.exp(-0.7)) + 1.5, math.log(1 + math.exp(1.25)) + 2.0])
    torch.testing.assert_close(rpo(*LOGP, LENGTH, beta=0.5), expected)


def test_dpop_by_hand():
    # the second chosen answer fell by one nat: its margin of -1.25 loses 0.5 times 3 more
    expected = torch.tensor([math.log(1 + math.exp(-0.7)), math.log(1 + math.exp(2.75))])
    torch.testing.assert_close(dpop(*LOGP, beta=0.5, lam=3.0), expected)


def test_per_token_by_hand():
    ratios = LOGP[0] - LOGP[2], LOGP[1] - LOGP[3]  # 1 and -1, -0.4 and 1.5
    found = per_token(*ratios, LENGTH, torch.tensor([4, 3]), beta=2.0)
    expected = torch.tensor([math.log(1 + math.exp(-1.2)), math.log(1 + math.exp(1.5))])
    torch.testing.assert_close(found, expected)


@settings(max_examples=30)
@given(four, st.floats(0.05, 3))
def test_without_their_terms_they_are_dpo(logps, beta):
    one, plain = torch.tensor([1]), dpo(*logps, beta)
    torch.testing.assert_close(rpo(*logps, one, beta, alpha=0.0), plain)
    torch.testing.assert_close(dpop(*logps, beta, lam=0.0), plain)
    w, l, rw, rl = logps
    torch.testing.assert_close(per_token(w - rw, l - rl, one, one, beta), plain)


@settings(max_examples=30)
@given(four, st.floats(0.05, 3))
def test_each_pulls_the_chosen_answer_up_at_least_as_hard_as_dpo(logps, beta):
    def slope(loss):
        w = logps[0].clone().requires_grad_()
        return torch.autograd.grad(loss(w).sum(), w)[0]

    plain = slope(lambda w: dpo(w, *logps[1:], beta))
    assert slope(lambda w: rpo(w, *logps[1:], torch.tensor([5]), beta)) < plain  # always, however large the margin
    assert slope(lambda w: dpop(w, *logps[1:], beta)) <= plain + 1e-12


def test_dpop_takes_a_rise_for_nothing_special():
    risen = [LOGP[0][:1], *(x[:1] for x in LOGP[1:])]
    assert dpop(*risen, 0.5, 50.0).equal(dpo(*risen, 0.5))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: rpo(*LOGP, LENGTH, 0.1, alpha=-1), "alpha must be at least 0, got -1"),
        (lambda: dpop(*LOGP, 0.1, lam=math.nan), "lam must be at least 0, got nan"),
        (lambda: dpop(*LOGP, 0.0), "beta must be above 0"),
        (lambda: rpo(*LOGP, LENGTH[:1], 0.1), "every answer needs its length"),
        (lambda: rpo(*LOGP, LENGTH * 0, 0.1), "one token or more"),
        (lambda: rpo(LOGP[0] * math.nan, *LOGP[1:], LENGTH, 0.1), "must be finite"),
        (lambda: dpop(LOGP[0][:1], *LOGP[1:], 0.1), r"must be \(B,\)"),
        (lambda: per_token(LOGP[0], LOGP[1] * math.nan, LENGTH, LENGTH, 1.0), "must be finite"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
