"""One step taken apart: the parts add up, and the coefficient is what autograd finds for the whole model."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import PAIRS, bpe, talker

from llmrl.lesson import style
from llmrl.lm.logprobs import token_logp
from llmrl.preference import anatomy
from llmrl.preference.losses import dpo, implicit_reward
from llmrl.preference.train import answer_logp, reference_logp, rendered

ROWS = rendered(PAIRS, bpe())
BETA = 0.3


@settings(max_examples=30)
@given(st.integers(1, 4), st.integers(1, 6), st.integers(0, 99))
def test_a_log_ratio_is_a_sum_over_the_answer(B, T, seed):
    generator = torch.Generator().manual_seed(seed)
    logp, ref = (-torch.rand(B, T, generator=generator) for _ in range(2))
    mask = torch.rand(B, T, generator=generator) < 0.5
    found = anatomy.log_ratio(logp.masked_fill(~mask, torch.nan), ref, mask)
    expected = [0.0 + sum((a - b).item() for a, b, m in zip(*row) if m) for row in zip(logp, ref, mask)]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-5, rtol=0)


def test_the_parts_of_a_step_add_up_to_the_step():
    model, reference = talker(1), talker(2)
    four = [p[:, side] for p in (reference_logp(model, ROWS), reference_logp(reference, ROWS)) for side in (0, 1)]
    loss, weight = dpo(*four, BETA), anatomy.coefficient(*four, BETA)
    for i, row in enumerate(ROWS):
        step = anatomy.taken_apart(model, reference, row, BETA, bpe())
        torch.testing.assert_close(torch.cat(step.logps()), torch.stack([x[i] for x in four]), atol=1e-4, rtol=1e-5)
        assert step.loss == pytest.approx(loss[i].item(), abs=1e-4)
        assert step.coefficient == pytest.approx(weight[i].item(), abs=1e-4)
        assert "".join(step.chosen.tokens) == PAIRS[i]["chosen"] + "<|im_end|>"


@pytest.mark.parametrize("row", ROWS)
def test_the_whole_gradient_is_the_coefficient_times_a_difference(row):
    model, reference = talker(1).double(), talker(2).double()
    weights = list(model.parameters())

    def gradient(value):
        return torch.cat([g.flatten() for g in torch.autograd.grad(value.sum(), weights)])

    ref = [answer_logp(reference, [side]).detach() for side in row]
    logps = [answer_logp(model, [side]) for side in row]
    found = gradient(dpo(*(answer_logp(model, [side]) for side in row), *ref, BETA))
    weight = anatomy.coefficient(*(x.detach() for x in logps), *ref, BETA)
    difference = gradient(logps[0]) - gradient(logps[1])
    torch.testing.assert_close(found, -BETA * weight * difference, atol=1e-10, rtol=1e-8)
    assert abs(weight - 0.5) > 1e-3  # so that weight and 1 - weight are told apart


def test_where_policy_and_reference_are_one_the_coefficient_is_a_half():
    step = anatomy.taken_apart(talker(1), talker(1), ROWS[0], BETA, bpe())
    assert (step.margin, step.coefficient) == (0.0, 0.5) and step.loss == pytest.approx(0.6931, abs=1e-4)


@settings(max_examples=30)
@given(st.floats(-20, 20), st.floats(0.01, 5))
def test_coefficients_of_a_pair_and_of_its_opposite_add_up_to_one(ratio, beta):
    zero = torch.zeros(1)
    one = anatomy.coefficient(torch.tensor([ratio]), zero, zero, zero, beta)
    other = anatomy.coefficient(zero, torch.tensor([ratio]), zero, zero, beta)
    assert (one + other).item() == pytest.approx(1, abs=1e-6)
    reward = implicit_reward(torch.tensor([ratio]), zero, beta)
    assert one.item() == pytest.approx(torch.sigmoid(-reward).item(), abs=1e-6)


def test_the_figure_shows_every_token():
    step = anatomy.taken_apart(talker(1), talker(2), ROWS[0], BETA, bpe())
    style.use()
    fig = anatomy.draw_step(step)
    words = [text.get_text() for ax in fig.axes for text in ax.texts]
    assert words.count("end") == 2 and f"coefficient {step.coefficient:.2f}" in words
    assert len(fig.axes[0].patches) == len(step.chosen.tokens)


def test_a_mask_of_another_shape_is_refused():
    ids = torch.tensor([ROWS[0][0][0]])
    logp, mask = token_logp(talker()(ids), ids).detach(), torch.tensor([ROWS[0][0][1]])
    with pytest.raises(ValueError, match="cut the mask's first"):
        anatomy.log_ratio(logp, logp, mask)
    with pytest.raises(ValueError, match="a bool mask"):
        anatomy.log_ratio(logp, logp, mask[:, 1:].float())
