"""The two views of TD(lambda) are one: sums of n-step returns, traces, and updates made on the way, to 1e-12."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_td import rows

from llmrl.rl.episodes import play
from llmrl.rl.lambda_returns import lambda_returns, mixture, offline_forward, online_forward
from llmrl.rl.returns import returns
from llmrl.rl.td import n_step_returns, n_step_td, td_target
from llmrl.rl.traces import offline_td, td_lambda, trace_step, true_online_td
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp, random_walk

seeds, shares = st.integers(0, 10_000), st.floats(0, 1)
steps_sizes = st.floats(0.01, 1)


def case(seed, players=8, steps=9):
    """Short episodes, some cut and some ended, and a guess drawn at random."""
    walk, random = random_walk(3, -1.0, 2.0), numpy_rng(seed, "case")
    episodes = play(walk, np.full((5, 2), 0.5), random, players, steps)
    return episodes, random.normal(size=(players, 5)) * ~walk.terminal


@settings(max_examples=15)
@given(seeds, shares, shares)
def test_the_lambda_return_is_the_mixture_of_all_n_step_returns(seed, gamma, lam):
    rewards, guesses, over = rows(seed)
    every = np.array([n_step_returns(rewards, guesses, over, n, gamma) for n in range(1, 7)])  # (n, T, N)
    ours = lambda_returns(rewards, guesses, over, gamma, lam)
    for t in range(6):  # from step t there are 6 - t of them
        np.testing.assert_allclose(ours[t], mixture(lam, 6 - t) @ every[: 6 - t, t], atol=1e-12)


@settings(max_examples=15)
@given(seeds, shares)
def test_its_ends_are_the_target_and_the_return(seed, gamma):
    rewards, guesses, over = rows(seed)
    one = td_target(rewards, guesses, over, gamma)
    np.testing.assert_allclose(lambda_returns(rewards, guesses, over, gamma, 0.0), one, atol=1e-12)
    over[-1] = True
    np.testing.assert_allclose(
        lambda_returns(rewards, guesses, over, gamma, 1.0), returns(rewards, over, gamma), atol=1e-12
    )


@settings(max_examples=15)
@given(shares, st.integers(1, 30))
def test_the_weights_sum_to_one(lam, steps):
    assert mixture(lam, steps).sum() == pytest.approx(1)
    assert (mixture(lam, steps) >= 0).all()


@settings(max_examples=15)
@given(seeds, steps_sizes, shares, shares)
def test_forward_is_backward_when_nothing_moves_on_the_way(seed, alpha, gamma, lam):
    episodes, guess = case(seed)
    ahead, back = (view(episodes, guess, alpha, gamma, lam) for view in (offline_forward, offline_td))
    np.testing.assert_allclose(ahead, back, atol=1e-10)


@settings(max_examples=15)
@given(seeds, steps_sizes, shares, shares)
def test_the_dutch_trace_makes_them_equal_on_the_way(seed, alpha, gamma, lam):
    episodes, guess = case(seed)
    ahead, back = (view(episodes, guess, alpha, gamma, lam) for view in (online_forward, true_online_td))
    np.testing.assert_allclose(ahead, back, atol=1e-10)


def test_the_accumulating_trace_does_not():
    episodes, guess = case(0, players=50)
    for keep in (1.0, 0.0):
        back = td_lambda(episodes, guess, 0.5, 1.0, 0.9, keep)
        assert np.abs(back - online_forward(episodes, guess, 0.5, 1.0, 0.9)).max() > 0.1
    assert np.abs(td_lambda(episodes, guess, 0.5, 1.0, 0.9) - offline_td(episodes, guess, 0.5, 1.0, 0.9)).max() > 0.1


@settings(max_examples=15)
@given(seeds, steps_sizes, shares)
def test_with_lambda_zero_all_of_them_are_td(seed, alpha, gamma):
    episodes, guess = case(seed)
    want = n_step_td(episodes, guess, alpha, gamma, 1)
    for keep in (1.0, 0.0, 0.5):
        np.testing.assert_allclose(td_lambda(episodes, guess, alpha, gamma, 0.0, keep), want, atol=1e-12)
    np.testing.assert_allclose(true_online_td(episodes, guess, alpha, gamma, 0.0), want, atol=1e-12)


@pytest.mark.parametrize("learn", [td_lambda, true_online_td, offline_td])
def test_several_step_sizes_at_once_are_several_runs(learn):
    episodes, guess = case(4)
    alphas = np.array([0.1, 0.4, 0.9])
    together = learn(episodes, np.repeat(guess[..., None], 3, -1), alphas, 0.9, 0.7)
    for k, alpha in enumerate(alphas):
        np.testing.assert_allclose(together[..., k], learn(episodes, guess, alpha, 0.9, 0.7), atol=1e-12)


def test_a_trace_by_hand():
    trace = np.array([[0.5, 2.0]])
    np.testing.assert_allclose(trace_step(trace, [1], 0.5), [[0.25, 2.0]])
    np.testing.assert_allclose(trace_step(trace, [1], 0.5, 0.0), [[0.25, 1.0]])
    np.testing.assert_allclose(trace_step(trace, [1], 0.5, 0.9), [[0.25, 1.9]])
    np.testing.assert_array_equal(trace, [[0.5, 2.0]])  # the old one is as it was


@pytest.mark.slow
@pytest.mark.parametrize("lam", [0.0, 0.7, 1.0])
def test_stable_baselines_fills_its_buffer_with_the_same_returns(lam):
    """Their buffer knows no truncation: the guess for the state a cut was made in is added to the reward before."""
    import torch
    from gymnasium.spaces import Discrete
    from stable_baselines3.common.buffers import RolloutBuffer

    world, random = random_mdp(5, 2, 3, numpy_rng(0, "world")), numpy_rng(0, "play")
    episodes = play(world, np.full((5, 2), 0.5), random, 4, 7)
    guess = random.normal(size=5)
    buffer = RolloutBuffer(7, Discrete(5), Discrete(2), gae_lambda=lam, gamma=0.9, n_envs=4)
    for t in range(7):
        guesses = torch.from_numpy(guess[episodes.states[t]])
        observed = episodes.states[t][:, None], episodes.actions[t][:, None], episodes.rewards[t]
        buffer.add(*observed, np.full(4, t == 0), guesses, torch.zeros(4))
    buffer.compute_returns_and_advantage(torch.from_numpy(guess[episodes.states[7]]), np.zeros(4, bool))
    ours = lambda_returns(episodes.rewards, guess[episodes.states[1:]], episodes.terminated, 0.9, lam)
    np.testing.assert_allclose(buffer.returns, ours, atol=1e-5)


def test_bad_input_is_named():
    episodes, guess = case(0)
    for lam in (-0.1, 1.1):
        with pytest.raises(ValueError, match="lambda must lie"):
            td_lambda(episodes, guess, 0.1, 1.0, lam)
        with pytest.raises(ValueError, match="lambda must lie"):
            lambda_returns(*rows(0), 0.9, lam)
    with pytest.raises(ValueError, match="gamma must lie"):
        true_online_td(episodes, guess, 0.1, 1.2, 0.5)
    with pytest.raises(ValueError, match="step sizes"):
        offline_td(episodes, guess, 0.0, 1.0, 0.5)
    with pytest.raises(ValueError, match="one table for each"):
        online_forward(episodes, guess[1:], 0.1, 1.0, 0.5)
