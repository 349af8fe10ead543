"""Scaled carts are Gymnasium's carts, in other units."""

import warnings

import gymnasium
import numpy as np
import pytest

from llmrl.toy.cart_pole import SCALE, cart_pole, cart_poles


def test_what_is_seen_lies_in_the_space_and_nothing_warns():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert cart_pole().reset(seed=0)[0] in cart_pole().observation_space
        assert cart_poles(3).reset(seed=0)[0] in cart_poles(3).observation_space


def test_only_the_units_differ():
    scaled, plain = cart_poles(3), gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point")
    one, other = scaled.reset(seed=1)[0], plain.reset(seed=1)[0]
    for t in range(60):
        np.testing.assert_allclose(one, other * SCALE, rtol=1e-6)
        actions = np.array([t % 2, 0, 1])
        (one, *rest), (other, *others) = scaled.step(actions), plain.step(actions)
        assert all(np.array_equal(a, b) for a, b in zip(rest[:3], others[:3]))
    np.testing.assert_array_equal(cart_poles(3, scale=None).reset(seed=1)[0], plain.reset(seed=1)[0])


def test_place_and_angle_are_shares_of_what_ends_the_game():
    env = cart_pole()
    for sign, place, angle in ((1, 2.41, 0.0), (-1, 0.0, 0.2096)):
        env.reset(seed=0)
        env.unwrapped.state = np.array([sign * place, 0.0, sign * angle, 0.0])
        seen, _, terminated, _, _ = env.step(0)
        assert terminated and np.abs(seen[[0, 2]]).max() == pytest.approx(1.0, abs=0.01)


def test_the_limit_truncates():
    envs = cart_poles(2, limit=3)
    envs.reset(seed=0)
    ends = [envs.step(np.array([0, 1]))[2:4] for _ in range(3)]
    assert not np.any([terminated for terminated, _ in ends]) and ends[-1][1].all()


@pytest.mark.parametrize("arguments", [(0, 500), (-1, 500), (3, 0)])
def test_counts_are_counts(arguments):
    with pytest.raises(ValueError, match="1 cart or more"):
        cart_poles(*arguments)
