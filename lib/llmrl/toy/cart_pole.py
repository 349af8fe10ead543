"""Many carts with poles at once, and what one of them tells.

Gymnasium's CartPole: a pole stands on a cart that is pushed left or right fifty times a second; every step pays 1 until
the pole leans by more than 12 degrees or the cart is 2.4 units away, and after 500 steps the clock stops. Its four
numbers are of different size: the angle stays below 0.21, the speeds reach 3. A network learns faster when they are
alike, so place and angle are given as shares of what ends the game. Left out: pixels.
"""

import math

import gymnasium
import numpy as np
from gymnasium.wrappers import TransformObservation
from gymnasium.wrappers.vector import TransformObservation as TransformObservations

LIMIT = 500  # steps, then the clock stops
SCALE = np.array([1 / 2.4, 1.0, 180 / (12 * math.pi), 1.0], dtype=np.float32)  # place, speed, angle, speed of the angle


def cart_poles(count, limit=LIMIT, scale=SCALE):
    """So many carts in one vector environment, which starts a cart anew with the step after its end.  scale: or None"""
    if count < 1 or limit < 1:
        raise ValueError(f"there must be 1 cart or more and a limit of 1 step or more, got {count} and {limit}")
    envs = gymnasium.make_vec("CartPole-v1", count, vectorization_mode="vector_entry_point", max_episode_steps=limit)
    if scale is None:
        return envs
    return TransformObservations(
        envs, scale.__mul__, single_observation_space=_scaled(envs.single_observation_space, scale)
    )


def cart_pole(limit=LIMIT, scale=SCALE):
    """One cart, as libraries that make vectors of their own want it."""
    env = gymnasium.make("CartPole-v1", max_episode_steps=limit)
    return env if scale is None else TransformObservation(env, scale.__mul__, _scaled(env.observation_space, scale))


def _scaled(space, scale):
    return gymnasium.spaces.Box(space.low * scale, space.high * scale, dtype=np.float32)
