"""Bonuses are checked by hand, against controls that cannot help, and by what must happen in a chain."""

from itertools import islice

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.control import Q_LEARNING, Settings, learn
from llmrl.rl.exploration import Counting, count_bonus, first_reward
from llmrl.rl.novelty import RandomNetworkDistillation
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import sparse_chain


@given(st.lists(st.integers(0, 10**6), min_size=1), st.floats(0, 10))
def test_a_bonus_falls_with_the_count(counts, beta):
    bonus = count_bonus(np.array(counts), beta)
    assert (bonus <= beta).all() and (bonus >= 0).all()
    assert (np.diff(count_bonus(np.sort(counts), beta)) <= 0).all()


def test_counting_by_hand():
    bonus = Counting(2, 3, 2, beta=1.0)
    for expected in ([1, 1], [2**-0.5, 1], [3**-0.5, 2**-0.5]):
        second = 0 if expected == [1, 1] else 1
        np.testing.assert_allclose(bonus(np.array([1, 1]), np.array([1, second]), None), expected)
    assert bonus.counts.reshape(2, 6).tolist() == [[0, 0, 0, 3, 0, 0], [0, 0, 1, 2, 0, 0]]


def test_epsilon_greedy_is_a_random_walk_until_the_first_reward():
    """With a table of zeros every action is a best one, so epsilon cannot matter: 2^(n+1) - 2 steps on average."""
    chain = sparse_chain(4)
    costs = np.where(chain.terminal[:, None, None], 0.0, 1.0) * np.ones_like(chain.R)
    exact = policy_evaluation(chain.P, costs, np.full((5, 2), 0.5), 1.0)[0]
    assert abs(exact - 30) < 1e-9
    for epsilon in (0.01, 1.0):
        found = first_reward(learn(chain, Q_LEARNING, Settings(epsilon=epsilon), numpy_rng(0, epsilon), 2000), 2000)
        assert abs(found.mean() - 30) < 4 * found.std() / 2000**0.5


def test_first_reward_gives_up():
    moves = learn(sparse_chain(30), Q_LEARNING, Settings(), numpy_rng(0, "up"), 3)
    assert (first_reward(moves, 50) == 51).all()
    optimist = learn(sparse_chain(1), Q_LEARNING, Settings(first=1.0, epsilon=0.0), numpy_rng(0, "one"), 30)
    assert set(first_reward(optimist, 50)) <= {1, 2, 3}


def test_a_predictor_learns_what_is_visited():
    bonus = RandomNetworkDistillation(np.eye(6), 3, 0.5, numpy_rng(0, "rnd"))
    before = bonus.errors()
    np.testing.assert_allclose((before / bonus.unit).mean(1), 1.0, rtol=1e-5)
    first = bonus(None, None, np.array([2, 2, 4]))
    np.testing.assert_allclose(first, 0.5 * (before / bonus.unit)[[0, 1, 2], [2, 2, 4]], rtol=1e-9)
    for _ in range(60):
        last = bonus(None, None, np.array([2, 2, 4]))
    after = bonus.errors()
    assert (last < 0.05 * first).all() and (after[[0, 1], 2] < 0.05 * before[[0, 1], 2]).all()
    unseen = np.array([[True, True, False, True, True, True]] * 2 + [[True, True, True, True, False, True]])
    assert (after[unseen] / before[unseen]).mean() > 0.2


def test_the_step_by_hand_is_the_one_of_automatic_gradients():
    bonus, after = RandomNetworkDistillation(np.eye(5), 3, 1.0, numpy_rng(0, "step"), lr=0.1), np.array([0, 3, 3])
    bonus(None, None, np.array([1, 3, 2]))  # away from the first weights
    copies = [torch.tensor(w, requires_grad=True) for layer in bonus.predictor for w in layer]
    x = torch.tensor(bonus.features[after])[:, None]
    guess = (x @ copies[0] + copies[1]).relu() @ copies[2] + copies[3]
    off = guess[:, 0] - torch.tensor(bonus.wanted[[0, 1, 2], after])
    error = off.square().sum(-1) / torch.tensor(bonus.unit[:, 0])
    error.sum().backward()
    np.testing.assert_allclose(bonus(None, None, after), error.detach())
    for ours, copy in zip((w for layer in bonus.predictor for w in layer), copies):
        np.testing.assert_allclose(ours, (copy - 0.1 * copy.grad).detach(), atol=1e-12)


def test_seeds_know_nothing_of_each_other():
    pair = [RandomNetworkDistillation(np.eye(4), 2, 1.0, numpy_rng(0, "two")) for _ in range(2)]
    for _ in range(5):
        one, other = (b(None, None, np.array([1, last])) for b, last in zip(pair, (2, 3)))
        assert one[0] == other[0]


def test_a_bonus_changes_the_learner_and_not_the_score():
    moves = learn(sparse_chain(3), Q_LEARNING, Settings(), numpy_rng(0, "x"), 4, bonus=Counting(4, 4, 2, 1.0))
    for move in islice(moves, 50):
        assert (move.score <= 1).all()
    assert move.tables.max() > 1


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: count_bonus(np.array([2, -3]), 1.0), "counts must be 0 or more, got -3"),
        (lambda: count_bonus(np.array([2]), -1.0), "beta must be 0 or more, got -1.0"),
        (lambda: RandomNetworkDistillation(np.ones(3), 1, 1.0, None), "features must be (S, D)"),
        (lambda: RandomNetworkDistillation(np.eye(3), 1, -1.0, None), "beta must be 0 or more"),
    ],
)
def test_bad_input_says_what_to_do(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)
