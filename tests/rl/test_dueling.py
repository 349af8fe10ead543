"""V plus advantages, what it makes identifiable, and how an update of one action moves the others."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.dueling import DuelingHead, dueling
from llmrl.seeds import rng


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 6), st.integers(1, 4), st.floats(-9, 9))
def test_the_mean_of_q_is_the_value_and_a_constant_in_the_advantages_is_lost(actions, states, constant):
    generator = rng(0, actions, states)
    value = torch.randn(states, 1, generator=generator, dtype=torch.float64)
    adv = torch.randn(states, actions, generator=generator, dtype=torch.float64)
    q = dueling(value, adv)
    torch.testing.assert_close(q.mean(-1, keepdim=True), value)
    torch.testing.assert_close(dueling(value, adv + constant), q)
    torch.testing.assert_close(q - q[:, :1], adv - adv[:, :1])  # differences between actions are the advantages'


def test_actions_may_lie_along_another_dimension():
    value, adv = torch.randn(2, 1, 5), torch.randn(2, 3, 5)
    by_hand = torch.stack([dueling(value[..., m], adv[..., m]) for m in range(5)], -1)
    torch.testing.assert_close(dueling(value, adv, dim=-2), by_hand)


@pytest.mark.parametrize("actions", [2, 5, 20])
def test_an_update_of_one_action_moves_the_others_by_the_known_share(actions):
    value, adv = torch.zeros(1, requires_grad=True), torch.zeros(actions, requires_grad=True)
    dueling(value, adv)[0].backward()
    moved = dueling(value.grad, adv.grad)  # of every action, by a step of size 1 along the gradient
    assert moved[0].item() == pytest.approx(2 - 1 / actions)
    assert moved[1:].tolist() == pytest.approx([1 - 1 / actions] * (actions - 1))


def test_the_head_is_both_streams_for_every_network():
    head = DuelingHead(2, 4, 3, numbers=5, generator=rng(0, "head"))
    x = torch.randn(2, 6, 4, generator=rng(0, "x"))
    found = head(x)
    assert found.shape == (2, 6, 3, 5)
    torch.testing.assert_close(found.mean(-2), head.value(x))


def test_a_missing_dimension_is_named():
    with pytest.raises(ValueError, match="one entry along dimension -1, got \\(2,\\) and \\(2, 3\\)"):
        dueling(torch.zeros(2), torch.zeros(2, 3))
    with pytest.raises(ValueError, match="one entry"):
        dueling(torch.zeros(2, 3), torch.zeros(2, 3))
