"""Learning on slates: the simulated user against exact chances, the update by hand, convergence to exact values."""

import numpy as np
import pytest

from llmrl.rl.slate_learning import Course, ItemValues, SlateTable, teach, visit
from llmrl.rl.slates import best_policy, best_slate, every_slate, follow, item_values, reader
from llmrl.seeds import numpy_rng


def test_users_do_what_the_model_says():
    user, many = reader(), 60_000
    slates = np.tile([1, 5, 7], (many, 1))
    picked, pay, after = visit(user, np.ones(many, int), slates, numpy_rng(0, "visit"))
    v = user.appeal[1, [1, 5, 7, 8]]
    shares = [(picked == item).mean() for item in (1, 5, 7, 8)]
    assert np.allclose(shares, v / v.sum(), atol=0.01) and np.array_equal(pay, (picked != 8).astype(float))
    for item in (1, 7, 8):
        moved = np.bincount(after[picked == item], minlength=4) / (picked == item).sum()
        assert np.allclose(moved, user.leads[1, item], atol=0.02)


@pytest.mark.parametrize("learner", [ItemValues, SlateTable])
def test_one_update_by_hand(learner):
    user = reader()
    taught = learner(user, 2, Course(alpha=0.5, start=2.0))
    taught.learn(np.array([1, 0]), np.array([[0, 5, 7], [2, 3, 1]]), np.array([5, 8]), np.array([4.0, 1.0]))
    places = [5, 8] if learner is ItemValues else [every_slate(8, 3).tolist().index(s) for s in ([0, 5, 7], [1, 2, 3])]
    assert taught.q[0, 1, places[0]] == 3.0 and taught.q[1, 0, places[1]] == 1.5
    assert (taught.q != 2.0).sum() == 2 + taught.q[:, 3].size and (taught.q[:, 3] == 0).all()


@pytest.mark.parametrize("learner", [ItemValues, SlateTable])
def test_leaving_ends_the_target(learner):
    user = reader(moods=2)
    user.leads[:] = [0, 0, 1]  # everybody leaves at once: values are chances of a click, nothing is added
    *_, taught = teach(user, learner, 60, 5, numpy_rng(0, "leave"), Course(start=50.0, alpha=1.0))
    assert set(np.unique(taught.q).tolist()) == {0.0, 1.0, 50.0}


def test_slateq_finds_the_exact_item_values():
    user = reader(2, 2, 2, effect=0.4)
    *_, taught = teach(user, ItemValues, 3500, 30, numpy_rng(0, "exact"), Course(alpha=0.1, k=2))
    values, slates = best_policy(user, 2, 1.0)
    exact = item_values(user, values, 1.0)
    assert np.abs(taught.q.mean(0) - exact)[:2].max() < 0.1 * exact[:2].max()
    assert np.allclose(follow(user, taught.policy(), 1.0).mean(0), values, rtol=0.15)


def test_without_a_future_it_learns_the_next_click():
    user = reader(2, 2, 2)
    *_, taught = teach(user, ItemValues, 400, 10, numpy_rng(0, "click"), Course(alpha=0.1, gamma=0.0, k=2))
    assert np.array_equal(taught.policy()[:, :2], np.tile(best_slate(user.appeal, user.pay, 2), (10, 1, 1))[:, :2])


def test_equal_generators_give_all_learners_the_same_log():
    logs = []
    for learner in (ItemValues, SlateTable):
        random = numpy_rng(0, "log")
        list(teach(reader(), learner, 20, 3, random))
        logs.append(random.random())
    assert logs[0] == logs[1]


@pytest.mark.parametrize("settings", [{"alpha": 0.0}, {"gamma": 1.5}, {"epsilon": -0.1}, {"k": 0}])
def test_bad_settings_are_named(settings):
    with pytest.raises(ValueError, match="lie between 0 and 1"):
        Course(**settings)


def test_nothing_is_learned_from_nothing():
    with pytest.raises(ValueError, match="1 or more"):
        next(teach(reader(), ItemValues, -5, 3, numpy_rng(0, "none")))
