"""GAE against its double sum and its two ends; time limits; what is refused; its exact bias and variance."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy.advantages import action_advantages, bootstrapped, gae
from llmrl.policy.gae_moments import bias_and_spread, moments
from llmrl.policy.improvement import advantage
from llmrl.policy.score import visits
from llmrl.rl.episodes import play
from llmrl.rl.planning import policy_evaluation
from llmrl.rl.returns import returns
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.environments import gridworld, random_mdp, random_walk

NUMBERS = (torch.tensor([[1.0], [2.0], [-1.0]]), torch.tensor([[0.5], [1.0], [2.0]]), torch.tensor([4.0]))


def trace(steps, n, seed):
    draw = rng(seed, "trace", steps, n)
    rewards, values = torch.randn(2, steps, n, generator=draw, dtype=torch.float64)
    done = torch.rand(steps, n, generator=draw) < 0.3
    return rewards, values, torch.randn(n, generator=draw, dtype=torch.float64), done


def double_sum(rewards, values, last_value, done, gamma, lam):
    """The definition: every TD error of the episode, faded by its distance."""
    following, adv = torch.cat([values[1:], last_value[None]]), torch.zeros_like(rewards)
    for t, n in np.ndindex(*rewards.shape):
        for k in range(t, len(rewards)):
            delta = rewards[k, n] + gamma * following[k, n] * ~done[k, n] - values[k, n]
            adv[t, n] += (gamma * lam) ** (k - t) * delta
            if done[k, n]:
                break
    return adv


def test_by_hand():
    rewards, values, last = NUMBERS
    found = gae(rewards, values, last, torch.zeros(3, 1), 0.5, 0.5)  # deltas 1, 2, -1
    torch.testing.assert_close(found[:, 0], torch.tensor([1 + 0.25 * 1.75, 2 - 0.25, -1.0]))
    cut = gae(rewards, values, last, torch.tensor([[0.0], [1.0], [0.0]]), 0.5, 0.5)  # deltas 1, 1, -1
    torch.testing.assert_close(cut[:, 0], torch.tensor([1.25, 1.0, -1.0]))


@given(st.integers(1, 7), st.integers(1, 3), st.integers(0, 99), st.floats(0, 1), st.floats(0, 1))
def test_the_recursion_is_the_double_sum(steps, n, seed, gamma, lam):
    case = trace(steps, n, seed)
    torch.testing.assert_close(gae(*case, gamma, lam), double_sum(*case, gamma, lam))


@given(st.integers(1, 7), st.integers(0, 99))
def test_its_ends_are_the_td_error_and_the_return(steps, seed):
    rewards, values, last, done = trace(steps, 2, seed)
    following = torch.cat([values[1:], last[None]])
    torch.testing.assert_close(gae(rewards, values, last, done, 0.9, 0.0), rewards + 0.9 * following * ~done - values)
    torch.testing.assert_close(gae(rewards, values, last, done, 0.9, 1.0), returns(rewards, done, 0.9, last) - values)


@given(st.integers(2, 7), st.integers(0, 99))
def test_nothing_leaks_across_an_end(steps, seed):
    rewards, values, last, done = trace(steps, 1, seed)
    done[steps // 2 - 1] = True
    other = [part.clone() for part in (rewards, values, last)]
    other[0][steps // 2 :], other[1][steps // 2 :], other[2][:] = 9.0, -5.0, 7.0
    before, after = gae(rewards, values, last, done, 0.9, 0.9), gae(*other, done, 0.9, 0.9)
    assert torch.equal(before[: steps // 2], after[: steps // 2])


def test_a_cut_keeps_its_value_and_an_end_does_not():
    rewards, final = torch.ones(2, 2), torch.tensor([[5.0, torch.nan], [3.0, torch.nan]])
    truncated = torch.tensor([[False, False], [True, False]])
    assert bootstrapped(rewards, truncated, final, 0.5).tolist() == [[1.0, 1.0], [2.5, 1.0]]
    values, done = torch.zeros(2, 2), torch.tensor([[False, False], [True, True]])
    found = gae(bootstrapped(rewards, truncated, final, 0.5), values, torch.full((2,), 99.0), done, 0.5, 1.0)
    assert found.tolist() == [[2.25, 1.5], [2.5, 1.0]]  # the state behind the rollout belongs to a later episode


def test_what_does_not_fit_is_refused():
    rewards, values, last = NUMBERS
    none = torch.zeros(3, 1)
    for case, words in (
        ((rewards, values[:2], last, none, 0.9, 0.9), "one shape"),
        ((rewards, values, last[0], none, 0.9, 0.9), "last_value"),
        ((rewards[:0], values[:0], last, none[:0], 0.9, 0.9), "1 step or more"),
        ((rewards, values, last, none, 1.1, 0.9), "gamma and lam"),
        ((rewards, values, last, none, 0.9, -0.1), "gamma and lam"),
        ((rewards, values, last, none + 0.5, 0.9, 0.9), "0.5"),
    ):
        with pytest.raises(ValueError, match=words):
            gae(*case)
    with pytest.raises(ValueError, match="one shape"):
        bootstrapped(rewards, none[:2], values, 0.9)


def world():
    mdp = gridworld(("S..", ".H.", "..G"), {"G": 3.0, "H": -2.0}, cost=0.1, slip=0.1)
    policy = numpy_rng(0, "policy").dirichlet(np.ones(4), mdp.states)
    return mdp, policy, policy_evaluation(mdp.P, mdp.R, policy, 0.9)


def test_with_the_true_values_every_lambda_is_right():
    mdp, policy, true = world()
    for lam in (0.0, 0.5, 1.0):
        mean, _ = moments(mdp, policy, true, 0.9, lam)
        np.testing.assert_allclose(mean, advantage(mdp, policy, 0.9), atol=1e-12)


def test_with_wrong_values_only_lambda_one_is_right():
    mdp, policy, true = world()
    wrong = true + numpy_rng(0, "wrong").normal(size=mdp.states)
    biases = [bias_and_spread(mdp, policy, wrong, 0.9, lam, visits(mdp, policy, 0.9))[0] for lam in (0, 0.5, 1)]
    assert biases[0] > biases[1] > 0.05 and biases[2] < 1e-12
    same_for_all = true + np.where(mdp.terminal, 0, 0.3)
    inner = random_mdp(6, 3, 3, numpy_rng(0, "mdp"))  # no ends: a critic that is off by a constant does no harm
    fair = np.full((6, 3), 1 / 3)
    off = policy_evaluation(inner.P, inner.R, fair, 0.9) + 0.3
    assert bias_and_spread(inner, fair, off, 0.9, 0.0, np.ones(6))[0] < 1e-12
    assert bias_and_spread(mdp, policy, same_for_all, 0.9, 0.0, visits(mdp, policy, 0.9))[0] > 1e-3


def test_moments_are_what_the_traces_show():
    mdp, policy, true = world()
    wrong = true + np.where(mdp.terminal, 0, numpy_rng(1, "wrong").normal(size=mdp.states))
    seen = play(mdp, policy, numpy_rng(0, "play"), players=40_000, steps=120)
    values = torch.from_numpy(wrong[seen.states])
    done = torch.from_numpy(seen.terminated)
    adv = gae(torch.from_numpy(seen.rewards), values[:-1], values[-1], done, 0.9, 0.7)[0].numpy()
    mean, variance = moments(mdp, policy, wrong, 0.9, 0.7)
    for a in range(4):
        got = adv[seen.actions[0] == a]
        assert abs(got.mean() - mean[0, a]) < 4.5 * got.std() / len(got) ** 0.5
        assert got.var() == pytest.approx(variance[0, a], rel=0.1)


def test_moments_need_no_discount_where_every_walk_ends():
    walk, coin = random_walk(5), np.full((7, 2), 0.5)
    true = policy_evaluation(walk.P, walk.R, coin, 1.0)
    mean, variance = moments(walk, coin, true, 1.0, 1.0)
    np.testing.assert_allclose(mean[1:6], advantage(walk, coin, 1.0)[1:6], atol=1e-12)
    chance = (true[3 - 1] + 1) / 2  # a return is -1 or 1
    assert variance[3, 0] == pytest.approx(4 * chance * (1 - chance))
    with pytest.raises(ValueError, match="gamma and lam"):
        moments(walk, coin, true, 1.0, 2.0)


@given(st.integers(1, 5), st.integers(0, 99))
def test_advantages_average_to_zero_under_the_policy(actions, seed):
    random = numpy_rng(seed, "q")
    q, policy = random.normal(size=(4, actions)), random.dirichlet(np.ones(actions), 4)
    assert np.abs((policy * action_advantages(q, policy)).sum(-1)).max() < 1e-12
    torch.testing.assert_close(
        action_advantages(torch.from_numpy(q), torch.from_numpy(policy)),
        torch.from_numpy(action_advantages(q, policy)),
    )
