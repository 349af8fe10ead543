"""A recurrent network by hand is torch's, and the gradient by hand is autograd's."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from llmrl.lm import copying
from llmrl.lm.recurrent import RecurrentLM, reach, rnn, spectral_radius, through_time
from llmrl.seeds import rng


def some(*shape, seed=0):
    return torch.randn(shape, generator=rng(seed, "recurrent"), dtype=torch.float64)


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_states_are_torchs(B, T, D):
    peer, x, h = nn.RNN(D, D, batch_first=True).double(), some(B, T, D), some(B, D, seed=1)
    bias = peer.bias_ih_l0 + peer.bias_hh_l0
    ours = rnn(x, h, peer.weight_hh_l0, peer.weight_ih_l0, bias)
    torch.testing.assert_close(ours, peer(x, h[None])[0])


@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 4))
def test_the_gradient_through_time_is_autograds(B, T, D):
    weight, state, states = some(D, D), some(B, D, seed=1).requires_grad_(), []
    first = state
    for x in some(T - 1, B, D, seed=2):
        states.append(state)
        state = torch.tanh(state @ weight.T + x)
    states.append(state)
    grad = some(B, D, seed=3)
    wanted = torch.autograd.grad(state, states, grad)
    found = through_time(grad, torch.stack(states, 1).detach(), weight)
    torch.testing.assert_close(found, torch.stack(wanted, 1))
    assert first is states[0]


def test_reach_is_the_size_of_the_jacobian():
    weight, states = some(3, 3) / 2, torch.tanh(some(4, 3, seed=1))
    step = [torch.diag(1 - h**2) @ weight for h in states]  # step[t] leads from state t-1 to state t
    products = [torch.eye(3, dtype=torch.float64), step[3], step[3] @ step[2], step[3] @ step[2] @ step[1]]
    wanted = torch.stack([torch.linalg.matrix_norm(p, 2) for p in products])
    torch.testing.assert_close(reach(states, weight), wanted)


def test_without_a_bend_the_rate_is_the_spectral_radius():
    weight = some(8, 8) / 3
    sizes = reach(torch.zeros(401, 8, dtype=torch.float64), weight)
    rate = (sizes[400] / sizes[200]) ** (1 / 200)
    assert rate.item() == pytest.approx(spectral_radius(weight).item(), rel=0.02)


def test_a_copy_says_again_what_was_read():
    ids, mask = copying.copies(5, 3, rng(0))
    assert ids.shape == mask.shape == (5, 7) and (ids[:, 3] == copying.MARK).all()
    assert torch.equal(ids[:, :3], ids[:, 4:]) and torch.equal(ids[mask].view(5, 3), ids[:, 4:])


def test_a_perfect_copier_scores_one_and_a_constant_one_near_chance():
    def perfect(ids):
        return torch.nn.functional.one_hot(ids.roll(4, 1), copying.VOCAB).float()  # what comes stood 5 places before it

    assert copying.copied(perfect, 4, rng(0)) == 1.0
    constant = copying.copied(lambda ids: torch.eye(copying.VOCAB)[torch.zeros_like(ids)], 4, rng(0))
    assert constant == pytest.approx(1 / 8, abs=0.04)


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_a_recurrent_model_never_looks_ahead_and_begins_as_its_stream_says(kind):
    model, again = (RecurrentLM(9, 8, kind, rng(0)) for _ in range(2))
    ids = copying.copies(2, 3, rng(1))[0]
    later = ids.clone()
    later[:, 4:] = 0
    assert torch.equal(model(ids), again(ids))
    torch.testing.assert_close(model(ids)[:, :4], model(later)[:, :4])


def test_another_kind_is_refused():
    with pytest.raises(ValueError, match="rnn, lstm, got 'gru'"):
        RecurrentLM(9, 8, "gru", rng(0))
