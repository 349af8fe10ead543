"""Returns: a double sum, the closed form of a series, gradients, ends of episodes, what a time limit leaves."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.policy.advantages import returns as promised
from llmrl.rl.returns import returns
from llmrl.seeds import numpy_rng


def log(seed, steps=7, players=3):
    random = numpy_rng(seed, "log")
    return random.normal(size=(steps, players)), random.random((steps, players)) < 0.3, random.normal(size=players)


def double_sum(rewards, done, gamma, last_value):
    out = np.zeros_like(rewards)
    for t, n in np.ndindex(rewards.shape):
        for k in range(t, len(rewards)):
            out[t, n] += gamma ** (k - t) * rewards[k, n]
            if done[k, n]:
                break
        else:
            out[t, n] += gamma ** (len(rewards) - t) * last_value[n]
    return out


@settings(max_examples=40)
@given(st.integers(0, 10_000), st.floats(0, 1), st.integers(1, 9))
def test_backward_is_the_sum_forward(seed, gamma, steps):
    rewards, done, behind = log(seed, steps)
    np.testing.assert_allclose(
        returns(rewards, done, gamma, behind), double_sum(rewards, done, gamma, behind), atol=1e-12
    )
    np.testing.assert_allclose(returns(rewards, done, gamma), double_sum(rewards, done, gamma, 0 * behind), atol=1e-12)


@pytest.mark.parametrize("shape", [(7,), (7, 3), (7, 3, 2), (1,)])
def test_torch_and_numpy_agree_in_every_shape(shape):
    random = numpy_rng(0, "shapes")
    rewards, done = random.normal(size=shape), random.random(shape) < 0.3
    found = returns(torch.tensor(rewards), torch.tensor(done), 0.9)
    assert found.dtype == torch.float64 and found.shape == shape
    np.testing.assert_allclose(found.numpy(), returns(rewards, done, 0.9), atol=1e-12)
    np.testing.assert_allclose(returns(rewards, done.astype(float), 0.9), returns(rewards, done, 0.9))


def test_four_rewards_by_hand():
    never = np.zeros(4, bool)
    np.testing.assert_allclose(returns(np.array([1.0, 2.0, 3.0, 4.0]), never, 0.5), [3.25, 4.5, 5.0, 4.0])
    np.testing.assert_allclose(returns(np.array([1.0, 2.0, 3.0, 4.0]), never, 0.9)[0], 8.146)
    np.testing.assert_allclose(returns([1, 2, 3, 4], never, 1), [10, 9, 7, 4])
    np.testing.assert_allclose(returns(np.array([1.0, 2.0, 3.0, 4.0]), never, 0), [1, 2, 3, 4])


def test_an_end_stops_the_sum_and_a_cut_does_not():
    rewards, done = np.ones(4), np.array([False, True, False, False])
    np.testing.assert_allclose(returns(rewards, done, 0.5, last_value=8.0), [1.5, 1.0, 3.5, 5.0])
    np.testing.assert_allclose(returns(rewards, np.array([0, 0, 0, 1]), 0.5, last_value=8.0)[-1], 1.0)


def test_the_promised_name_is_the_same_function():
    assert promised is returns


def test_types_are_kept_and_whole_numbers_become_real():
    ends = torch.zeros(3, dtype=torch.bool)
    assert returns(torch.ones(3), ends, 0.9).dtype == torch.float32
    assert returns(torch.ones(3, dtype=torch.int64), ends, 0.9).dtype == torch.float32
    assert returns(np.ones(3, np.float32), ends.numpy(), 0.9).dtype == np.float32
    assert returns(np.ones(3, int), ends.numpy(), 0.9).dtype == np.float64


def test_a_gradient_reaches_every_reward_and_the_last_value():
    rewards, behind = torch.ones(3, dtype=torch.float64, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    returns(rewards, torch.zeros(3), 0.5, behind)[0].backward()
    assert rewards.grad.tolist() == [1.0, 0.5, 0.25] and behind.grad.item() == 0.125


def test_nan_does_not_cross_an_end():
    found = returns(np.array([1.0, 2.0, np.nan]), np.array([0, 1, 1]), 0.9)
    assert found[:2].tolist() == [1 + 0.9 * 2.0, 2.0] and np.isnan(found[2])


@pytest.mark.parametrize(
    ("rewards", "done", "gamma", "last", "says"),
    [
        (np.ones(3), np.zeros(2), 0.9, 0.0, "must have one shape"),
        (np.ones(0), np.zeros(0), 0.9, 0.0, "1 step or more"),
        (np.array(1.0), np.array(0.0), 0.9, 0.0, "1 step or more"),
        (np.ones(3), np.array([0, 2, 0]), 0.9, 0.0, "True or False, or 1 or 0, got 2"),
        (np.ones(3), np.zeros(3), 1.1, 0.0, "gamma must lie in"),
        (np.ones(3), np.zeros(3), -0.1, 0.0, "gamma must lie in"),
        (np.ones(3), np.zeros(3), float("nan"), 0.0, "gamma must lie in"),
        (np.ones((3, 2)), np.zeros((3, 2)), 0.9, np.ones(3), "one number or one per environment"),
        (np.ones(3), np.zeros(3), 0.9, np.ones(3), "one number or one per environment"),
        (torch.ones(3, 2), torch.zeros(3), 0.9, 0.0, "must have one shape"),
    ],
)
def test_bad_input_is_named(rewards, done, gamma, last, says):
    with pytest.raises(ValueError, match=says):
        returns(rewards, done, gamma, last)
