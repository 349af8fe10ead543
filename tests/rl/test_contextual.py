"""LinUCB: updates against solving, estimates against least squares; worlds; judging by a log."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.contextual import (
    ByLot,
    LinUCB,
    linear_world,
    linucb_scores,
    lot,
    meet,
    replayed,
    ring_world,
    sherman_morrison,
    solved_scores,
    squares,
)
from llmrl.seeds import numpy_rng


@given(st.integers(1, 6), st.integers(1, 12), st.integers(0, 1000))
def test_many_updates_are_one_inverse(features, steps, seed):
    random = np.random.default_rng(seed)
    gram, inverse = 2 * np.eye(features), np.eye(features) / 2
    for x in random.normal(size=(steps, features)):
        gram, inverse = gram + np.outer(x, x), sherman_morrison(inverse, x)
    assert np.allclose(inverse, np.linalg.inv(gram), atol=1e-9)


def test_scores_are_ridge_regression_and_its_standard_error():
    random, agent = numpy_rng(0, "ridge"), LinUCB(seeds=2, arms=3, features=4, alpha=0.7, ridge=0.5)
    log = [(random.normal(size=(2, 4)), random.integers(3, size=2), random.normal(size=2)) for _ in range(40)]
    for step in log:
        agent.learn(*step)
    x = random.normal(size=(2, 4))
    grams = np.zeros((2, 3, 4, 4))
    for seed in range(2):
        for arm in range(3):
            mine = [(xs[seed], r[seed]) for xs, arms, r in log if arms[seed] == arm]
            rows = np.concatenate([np.stack([xs for xs, _ in mine]), np.sqrt(0.5) * np.eye(4)])
            theta = np.linalg.lstsq(rows, np.append([r for _, r in mine], np.zeros(4)), rcond=None)[0]
            grams[seed, arm] = rows.T @ rows
            error = np.sqrt(x[seed] @ np.linalg.inv(grams[seed, arm]) @ x[seed])
            assert agent.scores(x)[seed, arm] == pytest.approx(theta @ x[seed] + 0.7 * error)
    assert np.allclose(agent.scores(x), solved_scores(x, grams, agent.b, 0.7))
    one = linucb_scores(x[0], agent.inverse[0], agent.b[0], 0.7)
    assert np.allclose(one, agent.scores(x)[0])


def test_a_context_of_zeros_teaches_nothing():
    agent, random = LinUCB(2, 2, 3), numpy_rng(0, "zeros")
    agent.learn(random.normal(size=(2, 3)), np.array([0, 1]), np.ones(2))
    inverse, b = agent.inverse.copy(), agent.b.copy()
    agent.learn(np.zeros((2, 3)), np.array([1, 1]), np.array([5.0, -5.0]))
    assert np.array_equal(agent.inverse, inverse) and np.array_equal(agent.b, b)


def test_worlds_pay_what_they_say():
    theta, random = np.array([[0.5, 1.0, 0.0], [0.0, 0.0, -2.0]]), numpy_rng(0, "worlds")
    world = linear_world(theta)
    x = world.draw(500, random)
    assert (x[:, 0] == 1).all() and np.abs(x).max() <= 1 and np.allclose(world.pay(x), x @ theta.T)
    pay = ring_world().pay(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]))
    assert pay[0, 0] > pay[0, 1] and pay[1, 0] < pay[1, 1]
    inside = ring_world().pay(ring_world().draw(20_000, random)).argmax(1) == 0
    assert abs(inside.mean() - 0.5) < 0.02
    assert squares(np.array([[1.0, 2.0, 3.0]])).tolist() == [[1, 2, 3, 4, 6, 9]]


def test_linucb_learns_what_is_linear_and_not_the_rest():
    theta = np.array([[0.0, 0.5, 0.0], [0.0, -0.5, 0.2]])
    for world, features, wide in ((linear_world(theta), 3, lambda x: x), (ring_world(), 6, squares)):
        arms, lost = meet(world, LinUCB(20, 2, features, 0.3), 400, 20, numpy_rng(0, "meet"), wide)
        blind = meet(world, ByLot(2), 400, 20, numpy_rng(0, "blind"))[1][-1].mean()
        assert arms.shape == lost.shape == (400, 20) and lost[-1].mean() < blind / 5
    wrong = meet(ring_world(), LinUCB(20, 2, 3, 0.3), 400, 20, numpy_rng(0, "meet"))[1][-1].mean()
    assert wrong > blind / 2


class Always:
    """Pulls one arm whatever it sees."""

    def __init__(self, arm):
        self.arm = arm

    def scores(self, x):
        return np.tile(np.arange(3) == self.arm, (len(x), 1)).astype(float)

    def learn(self, x, arms, rewards):
        pass


def test_a_log_by_lot_judges_a_rule_fairly():
    theta = np.array([[0.3, 1.0], [-0.2, 0.0], [0.9, -1.0]])
    for arm in range(3):
        paid, counted = replayed(linear_world(theta), Always(arm), 300, 200, lot(3), numpy_rng(0, "log"))
        assert abs(counted.mean() - 100) < 3 and abs(paid.mean() - theta[arm, 0]) < 4.5 * paid.std() / 200**0.5


def test_a_log_that_knows_the_visitor_flatters_every_rule():
    world = linear_world([[0.0, 1.0], [0.0, -1.0]])

    def clever(x, random):
        return world.pay(x).argmax(1)

    paid, counted = replayed(world, Always(0), 300, 200, clever, numpy_rng(0, "log"))
    assert abs(counted.mean() - 150) < 3 and abs(paid.mean() - 0.5) < 0.02  # the truth is 0: only its good half counts


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: LinUCB(1, 2, 3, ridge=0.0), "ridge must be above zero"),
        (lambda: linucb_scores(np.ones(2), np.eye(2)[None], np.ones((1, 2)), -1.0), "zero or more"),
        (lambda: sherman_morrison(np.eye(3), np.ones(2)), "meets x with D features"),
        (lambda: linear_world([[1.0, 2.0]]), "two or more arms"),
        (lambda: meet(ring_world(), ByLot(2), 0, 5, None), "1 or more"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
