"""Three learners of one log: k-means against every split, labels by hand, a counted world."""

from itertools import product

import numpy as np
import pytest

from llmrl.rl.offline import Log
from llmrl.rl.paradigms import clusters, counted_world, logged, nearest_label
from llmrl.rl.planning import policy_evaluation, value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import random_mdp, sparse_chain


def test_k_means_finds_the_best_of_all_splits():
    random = numpy_rng(0, "points")
    points = np.concatenate([random.normal(0, 1, (5, 2)), random.normal(2, 1, (5, 2))])
    spreads = []
    for split in product((0, 1), repeat=10):
        groups = [points[np.array(split) == i] for i in (0, 1)]
        if all(map(len, groups)):
            spreads.append(sum(((g - g.mean(0)) ** 2).sum() for g in groups))
    names, centres = clusters(points, 2, random)
    assert ((points - centres[names]) ** 2).sum() == pytest.approx(min(spreads))
    assert all(centres[i] == pytest.approx(points[names == i].mean(0)) for i in (0, 1))
    assert (clusters(points, 1, random)[0] == 0).all()
    assert len(set(clusters(points, 10, random)[0].tolist())) == 10


def test_the_nearest_label_is_given():
    assert nearest_label([[0, 0], [4, 0]], [7, 9], [[1, 3], [3, 0], [4, 0]]).tolist() == [7, 9, 9]


def test_a_log_holds_the_steps_that_were_played():
    world = sparse_chain(2)  # right, right, and it ends with 1
    log = logged(world, np.array([1, 1, 0]), numpy_rng(0, "log"), 3, 9)
    rows = sorted(zip(log.states.tolist(), log.actions.tolist(), log.rewards.tolist(), log.after.tolist()))
    assert rows == [(0, 1, 0.0, 1)] * 3 + [(1, 1, 1.0, 2)] * 3


def test_a_counted_world_comes_close_to_the_true_one_and_so_does_its_plan():
    random = numpy_rng(0, "world")
    world = random_mdp(5, 3, 3, random)
    log = logged(world, np.full((5, 3), 1 / 3), random, 200, 200)
    P, R = counted_world(log, 5, 3)
    assert np.abs(P - world.P).max() < 0.04 and R == pytest.approx(world.R[:, :, 0], abs=1e-9)
    plan = value_iteration(P, R, 0.9)[1]
    best = value_iteration(world.P, world.R, 0.9)[0]
    assert policy_evaluation(world.P, world.R, plan, 0.9) == pytest.approx(best, abs=0.05)


def test_what_was_never_tried_stays_put_and_pays_nothing():
    log = Log(np.array([0, 0]), np.array([1, 1]), np.array([2.0, 4.0]), np.array([1, 0]))
    P, R = counted_world(log, 2, 2)
    assert P.tolist() == [[[1, 0], [0.5, 0.5]], [[0, 1], [0, 1]]] and R.tolist() == [[0, 3], [0, 0]]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (
            lambda: clusters([[0, 0], [0, 0]], 2, numpy_rng(0, "")),
            "k must lie in 1 to 1, the number of diff",
        ),
        (lambda: clusters([[0, 0]], 0, numpy_rng(0, "")), "got 0"),
        (lambda: nearest_label([[0, 0]], [1, 2], [[0, 0]]), "every point needs one label"),
        (lambda: nearest_label(np.zeros((0, 2)), [], [[0, 0]]), "one or more, got 0 and 0"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
