"""Control is checked against the textbook's loop on the same dice, against exact values, and against wrong targets."""

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.control import (
    DOUBLE_Q,
    EXPECTED_SARSA,
    Q_LEARNING,
    SARSA,
    Method,
    Settings,
    double_q_target,
    epsilon_chances,
    expected_sarsa_target,
    fading,
    learn,
    mean_score,
    q_learning_target,
    sarsa_target,
    watch,
)
from llmrl.rl.episodes import play
from llmrl.rl.mdp import MDP
from llmrl.rl.planning import greedy, policy_evaluation, q_from_v, value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import cliff, frozen_lake, random_mdp, random_walk, sparse_chain, two_state_loop

NONE = np.array([False])


def last(moves, steps):
    return next(islice(moves, steps - 1, None))


def by_hand(mdp, method, settings, random, steps):
    """One seed, in plain Python, drawing its numbers in the order in which the library draws."""

    def pick(chances):
        u, total = random.random(), 0.0
        sums = np.cumsum(chances) / np.sum(chances)
        for a, total in enumerate(sums):
            if u < total:
                return a

    def act(s):
        q, best = Q[s], [a for a in range(mdp.actions) if Q[s][a] >= max(Q[s]) - 1e-9]
        return [(1 - settings.epsilon) * (a in best) / len(best) + settings.epsilon / len(q) for a in range(len(q))]

    Q = [[0.0] * mdp.actions for _ in range(mdp.states)]
    s, clock = pick(mdp.start), 0
    a = pick(act(s))
    for _ in range(steps):
        leads, sums = mdp.branches
        after = leads[s, a, int((random.random() >= sums[s, a]).sum())]
        paid, done, clock = mdp.R[s, a, after], mdp.terminal[after], clock + 1
        chances = act(after)
        nxt = pick(chances)
        worth = {"q": max(Q[after]), "sarsa": Q[after][nxt], "expected": np.dot(chances, Q[after])}[method]
        Q[s][a] += settings.alpha * (paid + (0 if done else settings.gamma * worth) - Q[s][a])
        s, a = after, nxt
        if done or (settings.limit and clock >= settings.limit):
            s, clock = pick(mdp.start), 0
            a = pick(act(s))
    return np.array(Q)


@pytest.mark.parametrize(("method", "name"), [(Q_LEARNING, "q"), (SARSA, "sarsa"), (EXPECTED_SARSA, "expected")])
@pytest.mark.parametrize("world", [frozen_lake(), cliff(3, 4)], ids=["lake", "cliff"])
def test_the_loop_is_the_textbook_s(method, name, world):
    settings = Settings(gamma=0.9, alpha=0.3, epsilon=0.4, limit=7)
    ours = last(learn(world, method, settings, numpy_rng(0, name), 1), 400).tables[0, 0]
    np.testing.assert_allclose(ours, by_hand(world, name, settings, numpy_rng(0, name), 400), atol=1e-12)


def test_targets_by_hand():
    q, other = np.array([[1.0, 3.0, 2.0]]), np.array([[5.0, -1.0, 7.0]])
    assert q_learning_target(np.array([1.0]), q, NONE, 0.5) == 2.5
    assert sarsa_target(np.array([1.0]), q, np.array([2]), NONE, 0.5) == 2.0
    assert expected_sarsa_target(np.array([1.0]), q, np.array([[0.5, 0.25, 0.25]]), NONE, 0.5) == 1.875
    assert double_q_target(np.array([1.0]), q, other, NONE, 0.5) == 0.5
    assert double_q_target(np.array([1.0]), other, q, NONE, 0.5) == 2.0  # the roles are not the same
    for target, reads in (
        (q_learning_target, ()),
        (sarsa_target, (np.array([2]),)),
        (expected_sarsa_target, (np.array([[0.0, 1.0, 0.0]]),)),
        (double_q_target, (other,)),
    ):
        assert target(np.array([1.0]), q, *reads, ~NONE, 0.5) == 1.0


def test_ties_in_the_choosing_table_share_the_rating():
    assert double_q_target(np.zeros(1), np.array([[2.0, 2.0, 0.0]]), np.array([[1.0, 3.0, 9.0]]), NONE, 1.0) == 2.0


@given(st.lists(st.floats(-5, 5), min_size=1, max_size=6), st.floats(0, 1))
def test_chances_are_chances(q, epsilon):
    chances = epsilon_chances(np.array([q]), np.array([epsilon]))
    assert (chances >= epsilon / len(q) - 1e-12).all() and abs(chances.sum() - 1) < 1e-12


@given(st.integers(0, 2**32), st.floats(0, 1))
def test_expected_sarsa_is_sarsa_s_mean(seed, gamma):
    random = np.random.default_rng(seed)
    q, chances = random.normal(size=(1, 4)), random.dirichlet(np.ones(4), 1)
    each = [sarsa_target(np.ones(1), q, np.array([a]), NONE, gamma)[0] for a in range(4)]
    assert abs(chances[0] @ each - expected_sarsa_target(np.ones(1), q, chances, NONE, gamma)[0]) < 1e-9


def test_without_exploration_three_methods_are_one():
    """When the next action is the best one, its value, the largest value and the mean over actions are the same."""
    settings = Settings(alpha=0.5, epsilon=0.0, first=1.0, limit=20)
    q, sarsa, mean = (
        last(learn(frozen_lake(), m, settings, numpy_rng(0, "one"), 5), 300).tables
        for m in (Q_LEARNING, SARSA, EXPECTED_SARSA)
    )
    np.testing.assert_array_equal(q, sarsa)
    np.testing.assert_allclose(q, mean, atol=1e-12)


def test_double_q_with_one_table_is_q_learning():
    one, settings = Method(double_q_target, ("other",)), Settings(epsilon=0.3)
    ours, plain = (last(learn(cliff(3, 4), m, settings, numpy_rng(0, "d"), 3), 200).tables for m in (one, Q_LEARNING))
    np.testing.assert_allclose(ours, plain, atol=1e-12)


def test_they_settle_where_the_equations_say():
    """Q-learning at the best values; SARSA and expected SARSA at those of the policy that acts."""
    world = random_mdp(4, 3, 2, numpy_rng(0, "world"))
    settings = Settings(gamma=0.7, alpha=lambda n: 1 / n**0.7, epsilon=1.0, limit=30)
    best = q_from_v(world.P, world.R, value_iteration(world.P, world.R, 0.7)[0], 0.7)
    own = q_from_v(world.P, world.R, policy_evaluation(world.P, world.R, np.full((4, 3), 1 / 3), 0.7), 0.7)
    for method, exact, other in ((Q_LEARNING, best, own), (DOUBLE_Q, best, own), (SARSA, own, best)):
        q = last(learn(world, method, settings, numpy_rng(0, "s"), 30), 3000).tables.mean((0, 1))
        assert np.abs(q - exact).mean() < 0.3 * np.abs(q - other).mean()


def test_a_time_limit_is_no_end():
    """Cut after every single step, Q-learning still learns what lies ahead: 1 for ever is 1 / (1 - gamma)."""
    loop = two_state_loop()
    settings = Settings(gamma=0.5, alpha=0.5, epsilon=1.0, limit=1)
    everywhere = MDP.checked(loop.P, loop.R)  # starts anywhere
    q = last(learn(everywhere, Q_LEARNING, settings, numpy_rng(0, "cut"), 2), 400)
    exact = np.array([1, 0.5]) / 0.75
    np.testing.assert_allclose(q.tables[0], np.broadcast_to(exact[:, None], (2, 2, 1)), atol=1e-6)
    assert q.truncated.all() and (q.length == 1).all()


def test_episodes_are_counted():
    course = watch(learn(random_walk(3), Q_LEARNING, Settings(gamma=1.0), numpy_rng(0, "w"), 7), 30, at=(1, 30))
    assert course.scores.shape == course.lengths.shape == (30, 7) and course.q.shape == (2, 7, 5, 2)
    assert np.isin(course.scores, (-1, 1)).all() and (course.lengths % 2 == 0).all()
    assert (np.abs(course.q[0]).sum((1, 2)) > 0).all() and np.count_nonzero(course.q[0]) == 7  # one reward each
    assert (course.q[:, :, [0, 4]] == 0).all()


def test_a_score_leaves_the_bonus_out():
    moves = learn(sparse_chain(2), Q_LEARNING, Settings(), numpy_rng(0, "b"), 4, bonus=lambda s, a, after: np.ones(4))
    course = watch(moves, 3)
    assert (course.scores == 1).all() and (course.q[0, :, 0] > 0).all()


def test_mean_score_against_players_and_solve():
    lake = frozen_lake()
    policy = value_iteration(lake.P, lake.R, 0.99)[1]
    assert abs(mean_score(lake, policy, 3000) - lake.start @ policy_evaluation(lake.P, lake.R, policy, 1.0)) < 1e-9
    played = play(lake, policy, numpy_rng(0, "p"), 20_000, 50).rewards.sum(0)
    both = mean_score(lake, np.stack([policy, np.full((16, 4), 0.25)]), 50)
    assert abs(both[0] - played.mean()) < 4 * played.std() / 20_000**0.5 and both[1] < 0.02
    assert mean_score(two_state_loop(), np.ones((2, 1)), 5) == 3


def test_epsilon_fades():
    np.testing.assert_allclose(fading(1.0, 0.5, 0.1)(np.arange(5)), [1, 0.5, 0.25, 0.125, 0.1])


def test_greedy_after_learning_solves_the_still_lake():
    settings = Settings(alpha=0.5, epsilon=fading(1.0, 0.99), limit=100)
    course = watch(learn(frozen_lake(False), Q_LEARNING, settings, numpy_rng(0, "g"), 10), 300)
    assert (mean_score(frozen_lake(False), greedy(course.q[0]), 100) == 1).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: Settings(gamma=1.1), "gamma must lie in [0, 1], got 1.1"),
        (lambda: Settings(alpha=0), "alpha must lie in (0, 1], got 0"),
        (lambda: Settings(limit=0), "limit must be 1 step or more"),
        (lambda: epsilon_chances(np.zeros((2, 2)), 1.5), "epsilon must lie in [0, 1], got 1.5"),
        (lambda: next(learn(two_state_loop(), SARSA, Settings(gamma=1.0), numpy_rng(0), 1)), "a world without ends"),
        (lambda: next(learn(cliff(), SARSA, Settings(), numpy_rng(0), 0)), "number of players"),
        (lambda: fading(0.5, 0.9, 0.6), "epsilon falls from start to least"),
        (lambda: watch(iter(()), 5, at=(6,)), "episodes must be 1 or more"),
        (lambda: mean_score(cliff(), np.full((48, 4), 0.25), 0), "steps must be 1 or more"),
        (lambda: q_learning_target(np.ones(1), np.ones((1, 2)), np.zeros(1), 0.9), "terminated must be True or False"),
    ],
)
def test_bad_input_says_what_to_do(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)
