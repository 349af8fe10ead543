"""What is promised of a new policy, against what it is worth, on worlds drawn at random."""

import numpy as np
import pytest

from llmrl.policy.improvement import advantage, gain, performance, promised, worst_kl
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp, random_walk

RANDOM = numpy_rng(0, "improvement")
WORLD = random_mdp(6, 3, 3, RANDOM)
OLD, NEW = RANDOM.dirichlet(np.ones(3), 6), RANDOM.dirichlet(np.ones(3), 6)


@pytest.mark.parametrize("mdp, old, new, gamma", [
    (WORLD, OLD, NEW, 0.9),
    (random_walk(5, 0.0, 1.0), np.full((7, 2), 0.5), np.tile([0.3, 0.7], (7, 1)), 1.0),
])  # fmt: skip
def test_the_difference_is_the_old_advantage_on_the_new_way(mdp, old, new, gamma):
    difference = performance(mdp, new, gamma) - performance(mdp, old, gamma)
    assert abs(gain(mdp, new, old, gamma, on=new) - difference) < 1e-10
    assert abs(gain(mdp, new, old, gamma) - difference) > 1e-3  # on the old way it is not the same
    assert abs(gain(mdp, old, old, gamma)) < 1e-12


def test_the_slope_is_right_where_they_are_equal():
    def along(f, t):
        return f((1 - t) * OLD + t * NEW)

    small = 1e-5
    slopes = [
        (along(f, small) - along(f, -small)) / (2 * small)
        for f in (lambda p: performance(WORLD, p, 0.9), lambda p: gain(WORLD, p, OLD, 0.9))
    ]
    assert abs(slopes[0] - slopes[1]) < 1e-6 and abs(slopes[0]) > 1e-3


def test_a_policy_is_no_better_than_itself_on_average():
    assert np.abs((OLD * advantage(WORLD, OLD, 0.9)).sum(1)).max() < 1e-12


def test_what_is_promised_is_kept():
    for _ in range(200):
        new = (1 - (t := RANDOM.random())) * OLD + t * RANDOM.dirichlet(np.ones(3), 6)
        difference = performance(WORLD, new, 0.9) - performance(WORLD, OLD, 0.9)
        assert promised(WORLD, new, OLD, 0.9) <= difference + 1e-12


def test_the_worst_state_counts():
    old, new = np.array([[0.5, 0.5], [0.5, 0.5]]), np.array([[0.5, 0.5], [0.9, 0.1]])
    assert worst_kl(new, old) == pytest.approx(0.5 * np.log(0.5 / 0.9) + 0.5 * np.log(0.5 / 0.1))
    assert worst_kl(np.array([[1.0, 0.0]]), old[:1]) == np.inf and np.isfinite(
        worst_kl(old[:1], np.array([[1.0, 0.0]]))
    )
