"""Temporal differences: the error's mean by enumeration, n-step returns by double sums, learning by plain loops."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.episodes import play
from llmrl.rl.mdp import chain
from llmrl.rl.n_step import fold
from llmrl.rl.planning import policy_evaluation
from llmrl.rl.returns import returns
from llmrl.rl.td import n_step_returns, n_step_td, td_error, td_target
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp, random_walk, two_state_loop

seeds = st.integers(0, 10_000)
EVEN = np.full((7, 2), 0.5)


def rows(seed, steps=6, players=3):
    """Rewards, next values and an end at most once per column, (T, N)."""
    random = numpy_rng(seed, "rows")
    rewards, guesses = random.normal(size=(2, steps, players))
    over = np.arange(steps)[:, None] >= random.integers(1, 2 * steps, players)
    rewards[1:][over[:-1]] = 0.0  # nothing is paid behind the end
    return rewards, guesses, over


def double_sum(rewards, guesses, over, n, gamma):
    out = np.zeros_like(rewards)
    for t, player in np.ndindex(rewards.shape):
        for k in range(t, min(t + n, len(rewards))):
            out[t, player] += gamma ** (k - t) * rewards[k, player]
            if over[k, player]:
                break
        else:
            out[t, player] += gamma ** (k - t + 1) * guesses[k, player]
    return out


def test_four_transitions_by_hand():
    target = td_target(np.array([1.0, 1.0]), np.array([10.0, 10.0]), np.array([True, False]), 0.9)
    np.testing.assert_allclose(target, [1.0, 10.0])
    np.testing.assert_allclose(td_error(np.array([4.0, 4.0]), 1.0, 10.0, np.array([True, False]), 0.9), [-3.0, 6.0])
    assert td_target(1.0, 10.0, True, 0.9) == 1.0 and td_target(1.0, 10.0, False, 0.9) == 10.0
    found = td_target(torch.ones(2), torch.full((2,), 10.0), torch.tensor([True, False]), 0.9)
    assert found.dtype == torch.float32 and found.tolist() == [1.0, 10.0]


@settings(max_examples=20)
@given(seeds, st.floats(0, 0.99))
def test_the_mean_error_is_zero_at_the_true_value_and_only_there(seed, gamma):
    """Every action and next state of a random world, weighed by its chance."""
    world, random = random_mdp(5, 3, 3, numpy_rng(seed, "world")), numpy_rng(seed, "policy")
    policy = random.dirichlet(np.ones(3), 5)
    true = policy_evaluation(world.P, world.R, policy, gamma)
    joint, over = policy[..., None] * world.P, np.zeros((5, 3, 5), bool)
    for guess, wrong in ((true, 0.0), (true + 1.0, gamma - 1.0)):
        errors = td_error(guess[:, None, None], world.R, np.broadcast_to(guess, world.R.shape), over, gamma)
        np.testing.assert_allclose((joint * errors).sum((1, 2)), wrong, atol=1e-10)
    to, paid = chain(world, policy)
    guess = random.normal(size=5)
    errors = td_error(guess[:, None, None], world.R, np.broadcast_to(guess, world.R.shape), over, gamma)
    np.testing.assert_allclose((joint * errors).sum((1, 2)), paid + gamma * to @ guess - guess, atol=1e-10)


@settings(max_examples=20)
@given(seeds, st.integers(1, 6), st.floats(0, 1))
def test_n_step_returns_are_their_double_sum(seed, n, gamma):
    case = rows(seed)
    np.testing.assert_allclose(n_step_returns(*case, n, gamma), double_sum(*case, n, gamma), atol=1e-12)


@settings(max_examples=20)
@given(seeds, st.integers(1, 6), st.floats(0, 1))
def test_they_agree_with_the_windows_of_the_replay(seed, n, gamma):
    """The same idea for sampled windows of single transitions, where an end is followed by anything."""
    rewards, guesses, over = (torch.from_numpy(x[:, 0].copy()) for x in rows(seed))
    ours = n_step_returns(rewards.numpy(), guesses.numpy(), over.numpy(), n, gamma)
    for t in range(7 - n):
        at = slice(t, t + n)
        folded, discount, last = fold(rewards[at], over[at], torch.zeros(n, dtype=torch.bool), gamma)
        assert folded + discount * guesses[at][last] == pytest.approx(ours[t], abs=1e-12)


@settings(max_examples=20)
@given(seeds, st.floats(0, 1))
def test_the_first_is_the_target_and_the_last_the_return(seed, gamma):
    rewards, guesses, over = rows(seed)
    np.testing.assert_allclose(
        n_step_returns(rewards, guesses, over, 1, gamma), td_target(rewards, guesses, over, gamma), atol=1e-12
    )
    over[-1] = True  # all end
    np.testing.assert_allclose(
        n_step_returns(rewards, guesses, over, 6, gamma), returns(rewards, over, gamma), atol=1e-12
    )


def plain(episodes, player, values, alpha, gamma, n):
    """n-step TD for one player, as the textbooks write it: the sum, then the guess, then the move."""
    values = values.copy()
    length, ended = int(episodes.live[:, player].sum()), episodes.terminated[-1, player]
    states, rewards = episodes.states[:, player], episodes.rewards[:, player]
    for t in range(length):
        stop = min(t + n, length)
        target = sum(gamma ** (k - t) * rewards[k] for k in range(t, stop))
        if stop < length or not ended:
            target += gamma ** (stop - t) * values[states[stop]]
        values[states[t]] += alpha * (target - values[states[t]])
    return values


@pytest.mark.parametrize("n", [1, 3, 12])
@pytest.mark.parametrize("gamma", [0.8, 1.0])
def test_learning_is_a_plain_loop_for_each_player(n, gamma):
    walk, random = random_walk(5), numpy_rng(3, "walk")
    episodes = play(walk, EVEN, random, 30, 12)
    assert 0 < episodes.truncated.sum() < 30  # some are cut
    guess = random.normal(size=(30, 7)) * ~walk.terminal
    learned = n_step_td(episodes, guess, 0.3, gamma, n)
    for player in range(30):
        np.testing.assert_allclose(learned[player], plain(episodes, player, guess[player], 0.3, gamma, n), atol=1e-12)


def test_several_step_sizes_at_once_are_several_runs():
    walk, random = random_walk(5), numpy_rng(3, "walk")
    episodes, alphas = play(walk, EVEN, random, 10, 20), np.array([0.1, 0.5, 1.0])
    guess = random.normal(size=(10, 7)) * ~walk.terminal
    together = n_step_td(episodes, np.repeat(guess[..., None], 3, -1), alphas, 0.9, 2)
    for k, alpha in enumerate(alphas):
        np.testing.assert_allclose(together[..., k], n_step_td(episodes, guess, alpha, 0.9, 2), atol=1e-12)
    assert guess[:, 0].max() == together[:, 0].max() == 0  # the ends keep their 0


def test_a_cut_is_not_an_end():
    """A loop that pays 1 for ever: from the true values nothing is learned, however short the time limit."""
    loop = two_state_loop()
    true = policy_evaluation(loop.P, loop.R, [0, 0], 0.9)
    episodes = play(loop, [0, 0], numpy_rng(0, "loop"), 4, 5)
    for n in (1, 3, 5):
        np.testing.assert_allclose(n_step_td(episodes, np.tile(true, (4, 1)), 0.5, 0.9, n), np.tile(true, (4, 1)))


def test_bad_input_is_named():
    rewards, guesses, over = rows(0)
    for n in (0, 7, 2.0):
        with pytest.raises(ValueError, match="from 1 to the 6 steps"):
            n_step_returns(rewards, guesses, over, n, 0.9)
    with pytest.raises(ValueError, match="one shape"):
        n_step_returns(rewards, guesses[1:], over, 1, 0.9)
    with pytest.raises(ValueError, match="gamma must lie"):
        n_step_returns(rewards, guesses, over, 1, 1.1)
    with pytest.raises(ValueError, match="True or False"):
        td_target(rewards, guesses, over * 1.0, 0.9)
    episodes = play(random_walk(5), EVEN, numpy_rng(0, "walk"), 4, 50)
    with pytest.raises(ValueError, match="one table for each of the 4"):
        n_step_td(episodes, np.zeros((3, 7)), 0.1, 1.0, 1)
    with pytest.raises(ValueError, match="step sizes"):
        n_step_td(episodes, np.zeros((4, 7)), 1.5, 1.0, 1)
    with pytest.raises(ValueError, match="from 1 to the 50 steps"):
        n_step_td(episodes, np.zeros((4, 7)), 0.5, 1.0, 51)
