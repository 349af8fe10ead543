"""Slates: the choice model, SlateQ's decomposition against planning over listed slates, the best slate against all."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl import planning
from llmrl.rl.slates import (
    User,
    best_policy,
    best_slate,
    choice_probabilities,
    every_slate,
    follow,
    item_values,
    reader,
    slate_values,
    slate_world,
    top_slate,
)


def test_the_choice_is_a_softmax_over_utilities():
    utility = np.array([0.3, -1.0, 2.0])
    wanted = np.exp(np.append(utility, 0.5)) / np.exp(np.append(utility, 0.5)).sum()
    assert np.allclose(choice_probabilities(np.exp(utility), np.exp(0.5)), wanted)
    two = choice_probabilities(np.array([[1.0, 3.0], [2.0, 2.0]]), np.array([4.0, 1.0]))
    assert np.allclose(two, [[1 / 8, 3 / 8, 4 / 8], [0.4, 0.4, 0.2]])


@pytest.mark.parametrize("effect", [0.0, 0.1, 0.4, 1.0])
@pytest.mark.parametrize("gamma", [0.9, 1.0])
def test_item_values_add_up_to_the_values_of_listed_slates(effect, gamma):
    user, slates = reader(effect=effect), every_slate(8, 3)
    world = slate_world(user, slates)
    values, _ = planning.value_iteration(world.P, world.R, gamma)
    q = planning.q_from_v(world.P, world.R, values, gamma)
    parts = item_values(user, values, gamma)
    assert np.allclose(slate_values(user.appeal[:, None], parts[:, None], slates[None]), q, atol=1e-8)
    found, shown = best_policy(user, 3, gamma)
    assert np.allclose(found, values, atol=1e-7) and np.allclose(follow(user, shown, gamma), values, atol=1e-7)
    plain = parts[:, slates].mean(-1)  # the wrong decomposition: every item alike, no null item
    assert np.abs(plain - q).max() > 0.1


def test_the_decomposition_holds_for_any_policy():
    user, slates, random = reader(), every_slate(8, 3), np.random.default_rng(0)
    world = slate_world(user, slates)
    policy = random.dirichlet(np.ones(len(slates)), size=4)
    values = planning.policy_evaluation(world.P, world.R, policy, 0.95)
    q = planning.q_from_v(world.P, world.R, values, 0.95)
    parts = item_values(user, values, 0.95)
    assert np.allclose(slate_values(user.appeal[:, None], parts[:, None], slates[None]), q, atol=1e-10)


def test_following_fixed_slates_is_policy_evaluation():
    user, slates = reader(), every_slate(8, 2)
    world, chosen = slate_world(user, slates), np.array([[3, 20, 7, 0], [5, 5, 1, 2]])
    exact = [planning.policy_evaluation(world.P, world.R, row, 1.0) for row in chosen]
    assert np.allclose(follow(user, slates[chosen], 1.0), exact)


@given(st.integers(0, 10_000), st.integers(2, 7), st.data())
def test_the_best_slate_is_the_best_of_all(seed, items, data):
    k = data.draw(st.integers(1, items))
    random = np.random.default_rng(seed)
    appeal, q = np.exp(2 * random.normal(size=(3, items + 1))), random.normal(size=(3, items + 1)) * 3
    worth = slate_values(appeal[:, None], q[:, None], every_slate(items, k)[None]).max(1)
    assert np.allclose(slate_values(appeal, q, best_slate(appeal, q, k)), worth)
    slates = top_slate(appeal, q, k)
    assert (slate_values(appeal, q, slates) <= worth + 1e-9).all()
    assert all(len(set(slate)) == k and max(slate) < items for slate in slates.tolist())


def test_a_shortcut_can_lose():
    appeal, q = np.array([10.0, 1.0, 1.0]), np.array([1.0, 3.0, 0.0])  # a popular item crowds a good one out
    assert best_slate(appeal, q, 1).tolist() == [1] and top_slate(appeal, q, 1).tolist() == [0]
    appeal, q = np.array([1.0, 10.0, 0.1, 1.0]), np.array([1.0, 1.2, 5.0, 0.0])
    assert best_slate(appeal, q, 2).tolist() == [1, 2]


def test_when_nothing_matters_later_myopia_is_best():
    user = reader(effect=0.0)
    myopic = best_slate(user.appeal, user.pay, 3)
    assert np.allclose(follow(user, myopic, 1.0), best_policy(user, 3, 1.0)[0])
    user = reader(effect=0.4)
    assert (follow(user, myopic, 1.0) < best_policy(user, 3, 1.0)[0] / 1.2)[:-1].all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: every_slate(3, 4), "1 to 3 of 3 items"),
        (lambda: best_slate(np.ones(4), np.ones(4), 4), "1 to 3 items"),
        (lambda: reader(bait=0), "1 or more"),
        (lambda: reader(effect=1.5), "a chance"),
        (lambda: best_policy(reader(), 3, 1.01), "gamma must lie in"),
        (lambda: follow(reader(), np.zeros((4, 1), int), -0.1), "gamma must lie in"),
        (lambda: User(np.ones((2, 3)), np.ones((2, 2)), np.ones((2, 3, 2)) / 2, np.zeros(2, bool)), "a user needs"),
        (lambda: User(np.zeros((2, 3)), np.ones((2, 3)), np.ones((2, 3, 2)) / 2, np.zeros(2, bool)), "above zero"),
        (lambda: dataclasses.replace(reader(), leads=reader().leads * 0.9), "must sum to one"),
        (
            lambda: follow(dataclasses.replace(reader(), terminal=np.zeros(4, bool)), np.zeros((4, 1), int), 1.0),
            "some day",
        ),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
