"""Log-probabilities of tokens, against torch's own and against wrong answers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.logprobs import masked_mean, perplexity, token_logp
from llmrl.seeds import rng


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 7), st.sampled_from([torch.float32, torch.float64]))
def test_token_logp_is_the_log_softmax_of_the_token_that_came(B, T, V, dtype):
    logits = torch.randn(B, T, V, generator=rng(0, B, T, V)).to(dtype)
    ids = torch.randint(V, (B, T), generator=rng(1, B, T, V))
    logp = token_logp(logits, ids)
    assert logp.shape == (B, T - 1) and logp.dtype == dtype
    for b in range(B):
        for t in range(1, T):
            expected = logits[b, t - 1].log_softmax(-1)[ids[b, t]]  # position t is judged by what stood before it
            torch.testing.assert_close(logp[b, t - 1], expected)


def test_token_logp_survives_large_scores():
    logits = torch.tensor([[[1e4, 0.0], [0.0, 0.0]]])
    torch.testing.assert_close(token_logp(logits, torch.tensor([[0, 1]])), torch.tensor([[-1e4]]))


def test_token_logp_has_the_gradient_of_cross_entropy():
    logits = torch.randn(2, 5, 7, dtype=torch.float64, generator=rng(0), requires_grad=True)
    ids = torch.randint(7, (2, 5), generator=rng(1))
    (ours,) = torch.autograd.grad(-token_logp(logits, ids).mean(), logits)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten())
    (theirs,) = torch.autograd.grad(loss, logits)
    torch.testing.assert_close(ours, theirs)
    assert torch.autograd.gradcheck(lambda x: token_logp(x, ids), logits)


@pytest.mark.parametrize("logits, ids", [((2, 3, 5), (2, 4)), ((2, 5), (2, 5)), ((1, 3, 5), (2, 3))])
def test_token_logp_refuses_ids_the_logits_do_not_belong_to(logits, ids):
    with pytest.raises(ValueError, match=r"logits must be \(B, T, V\).*call the model on exactly these ids"):
        token_logp(torch.zeros(logits), torch.zeros(ids, dtype=torch.long))


@pytest.mark.parametrize("wrong", [-100, 5])
def test_token_logp_refuses_labels_that_are_no_tokens(wrong):
    with pytest.raises(ValueError, match=rf"ids must be in \[0, 5\), got {wrong}: .* not by ids such as -100"):
        token_logp(torch.zeros(1, 2, 5), torch.tensor([[1, wrong]]))


@pytest.mark.parametrize("mask", [torch.ones(2, 3), torch.ones(3).bool(), torch.ones(2, 1).bool()])
def test_masked_mean_refuses_masks_it_would_miscount(mask):
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(2, 3\) like x"):
        masked_mean(torch.zeros(2, 3), mask)


def test_masked_mean_is_the_mean_of_what_is_kept():
    x = torch.tensor([[1.0, 2.0, torch.nan], [4.0, torch.inf, torch.nan]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    assert masked_mean(x, mask) == pytest.approx(7 / 3)
    torch.testing.assert_close(masked_mean(x, mask, 1), torch.tensor([1.5, 4.0]))
    assert masked_mean(x, mask, 1).mean() != masked_mean(x, mask)  # the axis is the lesson
    assert masked_mean(x, mask & False) == 0


def test_masked_mean_lets_no_nan_into_the_gradient():
    x = torch.tensor([1.0, torch.nan], requires_grad=True)
    masked_mean(x, torch.tensor([True, False])).backward()
    assert x.grad.tolist() == [1.0, 0.0]


def test_perplexity_of_guessing_blindly_is_the_vocabulary():
    logp = torch.full((2, 5), -math.log(40.0))
    assert perplexity(logp, torch.ones(2, 5, dtype=torch.bool)).item() == pytest.approx(40)


def test_perplexity_weighs_tokens_not_rows_and_ignores_padding():
    logp = torch.tensor([[-1.0, math.nan, math.nan], [-2.0, -3.0, -6.0]])
    mask = torch.tensor([[True, False, False], [True, True, True]])
    assert perplexity(logp, mask).item() == pytest.approx(math.exp(3))
