"""Plans are exact: against every policy of a small world, against long sums, and against the bounds of theory."""

from itertools import islice, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl.planning import (
    backup,
    endings,
    error_bound,
    greedy,
    improvements,
    modified_sweeps,
    policy_evaluation,
    policy_iteration,
    q_from_v,
    sweeps,
    v_from_q,
    value_iteration,
)
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import (
    aliased_corridor,
    cliff,
    frozen_lake,
    random_mdp,
    random_walk,
    sparse_chain,
    two_state_loop,
)


def world(seed, states=5, actions=3):
    return random_mdp(states, actions, min(3, states), numpy_rng(seed, "world"))


seeds = st.integers(0, 10_000)
gammas = st.floats(0, 0.97)


def test_the_loop_has_the_values_of_two_equations():
    loop = two_state_loop()
    np.testing.assert_allclose(
        policy_evaluation(loop.P, loop.R, [0, 0], 0.9), [1 / (1 - 0.81), 0.9 / (1 - 0.81)], atol=1e-12
    )


@given(seeds, gammas)
def test_no_policy_is_better_anywhere_than_the_planned_one(seed, gamma):
    """Every deterministic policy of a world of 3 states and 2 actions, one by one."""
    w = world(seed, 3, 2)
    every = np.array([policy_evaluation(w.P, w.R, np.array(p), gamma) for p in product(range(2), repeat=3)])
    values, policy = value_iteration(w.P, w.R, gamma)
    np.testing.assert_allclose(values, every.max(0), atol=1e-9)
    np.testing.assert_allclose(policy_evaluation(w.P, w.R, policy, gamma), every.max(0), atol=1e-7)
    np.testing.assert_allclose(policy_iteration(w.P, w.R, gamma)[0], every.max(0), atol=1e-9)


@given(seeds, st.floats(0, 0.9))
def test_values_of_a_policy_are_the_sum_of_its_discounted_rewards(seed, gamma):
    w, random = world(seed), numpy_rng(seed, "policy")
    policy = random.dirichlet(np.ones(3), 5)
    to = np.einsum("sa,sat->st", policy, w.P)
    total, weight = np.zeros(5), np.eye(5)
    for _ in range(300):
        total += weight @ (policy * (w.P * w.R).sum(-1)).sum(1)
        weight = gamma * weight @ to
    np.testing.assert_allclose(policy_evaluation(w.P, w.R, policy, gamma), total, atol=1e-8)


@given(seeds, gammas)
def test_between_q_and_v(seed, gamma):
    w, random = world(seed), numpy_rng(seed, "policy")
    policy = random.dirichlet(np.ones(3), 5)
    values = policy_evaluation(w.P, w.R, policy, gamma)
    q = q_from_v(w.P, w.R, values, gamma)
    np.testing.assert_allclose(v_from_q(q, policy), values, atol=1e-10)
    np.testing.assert_allclose(q_from_v(w.P, (w.P * w.R).sum(-1), values, gamma), q, atol=1e-12)
    s, a = 1, 2
    assert q[s, a] == pytest.approx(sum(w.P[s, a, t] * (w.R[s, a, t] + gamma * values[t]) for t in range(5)))
    np.testing.assert_allclose(backup(w.P, w.R, values, gamma), q.max(1), atol=0)
    assert v_from_q(q, np.array([0, 1, 2, 0, 1])).tolist() == [q[0, 0], q[1, 1], q[2, 2], q[3, 0], q[4, 1]]


@given(seeds, gammas, st.sampled_from([None, [0, 1, 2, 3, 4], [4, 3, 2, 1, 0], [2, 0, 4, 1, 3]]))
def test_a_sweep_brings_any_two_guesses_closer_by_gamma(seed, gamma, order):
    w, random = world(seed), numpy_rng(seed, "guesses")
    guesses = random.normal(0, 10, (2, 5))
    after = [next(sweeps(w.P, w.R, gamma, guess, order)).values for guess in guesses]
    assert np.abs(after[0] - after[1]).max() <= gamma * np.abs(guesses[0] - guesses[1]).max() + 1e-12


@given(seeds, st.floats(0.1, 0.95), st.integers(1, 40))
def test_the_error_never_exceeds_its_bound(seed, gamma, count):
    w = world(seed)
    best = policy_iteration(w.P, w.R, gamma)[0]
    *_, last = islice(sweeps(w.P, w.R, gamma), count)
    bound = error_bound(last.change, gamma)
    assert np.abs(last.values - best).max() <= bound + 1e-12
    lost = best - policy_evaluation(w.P, w.R, greedy(q_from_v(w.P, w.R, last.values, gamma)), gamma)
    assert lost.max() <= 2 * bound + 1e-9


def test_the_bound_is_reached_by_one_state_that_pays_for_ever():
    P, R, gamma = np.ones((1, 1, 1)), np.ones((1, 1)), 0.9
    for sweep in islice(sweeps(P, R, gamma), 5):
        assert 10 - sweep.values[0] == pytest.approx(error_bound(sweep.change, gamma), rel=1e-12)


@pytest.mark.parametrize("tolerance", [1e-2, 1e-6])
def test_value_iteration_stops_within_its_tolerance_and_not_far_below(tolerance):
    P, R = np.ones((1, 1, 1)), np.ones((1, 1))
    error = 100 - value_iteration(P, R, 0.99, tolerance)[0][0]
    assert 0.9 * tolerance < error <= tolerance


@pytest.mark.parametrize("repeats", [0, 1, 7, 50])
def test_modified_policy_iteration_reaches_the_same_values(repeats):
    w = world(7, 20, 4)
    best = policy_iteration(w.P, w.R, 0.9)[0]
    *_, last = islice(modified_sweeps(w.P, w.R, 0.9, repeats), 300)
    np.testing.assert_allclose(last.values, best, atol=1e-9)
    assert last.backups == 300 * (20 * 4 + repeats * 20)


def test_modified_policy_iteration_without_repeats_is_value_iteration():
    w = world(8)
    for a, b in islice(zip(sweeps(w.P, w.R, 0.9), modified_sweeps(w.P, w.R, 0.9, 0)), 10):
        np.testing.assert_allclose(a.values, b.values, atol=1e-12)
        assert a.change == pytest.approx(b.change, abs=1e-12) and a.backups == b.backups


def test_the_order_of_states_decides_how_fast_news_travels():
    chain = sparse_chain(9)
    left, right = list(range(9)), list(range(8, -1, -1))
    best = value_iteration(chain.P, chain.R, 0.9)[0]
    counts = [
        next(i for i, s in enumerate(sweeps(chain.P, chain.R, 0.9, order=order), 1) if np.allclose(s.values, best))
        for order in (None, left, right)
    ]
    assert counts == [9, 9, 1]


def test_every_improvement_is_one():
    w = world(9, 12, 5)
    steps = list(improvements(w.P, w.R, 0.95))
    for before, after in zip(steps, steps[1:]):
        assert (after.values >= before.values - 1e-10).all() and before.better > 0
    assert steps[-1].better == 0 and len(steps) > 2


def test_ties_stop_policy_iteration():
    """Two actions that do the same: whoever changes between them never comes to an end."""
    P = np.tile(np.eye(3)[[1, 2, 0]][:, None], (1, 2, 1))
    steps = list(islice(improvements(P, np.ones((3, 2)), 0.9), 5))
    assert len(steps) == 1 and steps[0].better == 0


def test_greedy_shares_ties():
    q = np.array([[1.0, 1.0 + 1e-12, 0.0], [0.0, 0.0, 0.0], [-1.0, -2.0, -1.5]])
    np.testing.assert_allclose(greedy(q), [[0.5, 0.5, 0], [1 / 3, 1 / 3, 1 / 3], [1, 0, 0]])
    assert greedy(q, 0.6)[2].tolist() == [0.5, 0, 0.5]


def test_without_discount_where_episodes_end():
    walk = random_walk(5, 0.0, 1.0)
    even = policy_evaluation(walk.P, walk.R, np.full((7, 2), 0.5), 1.0)
    np.testing.assert_allclose(even, [0, 1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 0], atol=1e-12)
    assert value_iteration(cliff().P, cliff().R, 1.0)[0][36] == -13
    corridor, _ = aliased_corridor()
    best = np.sqrt(2) - 1  # Sutton and Barto, example 13.1: left with this chance
    policy = np.tile([best, 1 - best], (4, 1))
    assert policy_evaluation(corridor.P, corridor.R, policy, 1.0)[0] == pytest.approx(-(6 + 4 * np.sqrt(2)), abs=1e-9)


@pytest.mark.parametrize("gamma", [1.0, 1.5, -0.1, float("nan")])
@pytest.mark.parametrize("plan", [value_iteration, policy_iteration, lambda *a: next(sweeps(*a))])
def test_an_endless_world_needs_a_discount(plan, gamma):
    loop = two_state_loop()
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\) when episodes go on for ever"):
        plan(loop.P, loop.R, gamma)
    with pytest.raises(ValueError, match=r"gamma must lie in \[0, 1\)"):
        policy_evaluation(loop.P, loop.R, [0, 0], gamma)


def test_a_policy_that_never_ends_is_named():
    chain = sparse_chain(4)
    with pytest.raises(ValueError, match="must reach an end from every state, and from state 0 it never does"):
        policy_evaluation(chain.P, chain.R, [0, 0, 0, 0, 0], 1.0)


def test_a_return_without_bound_is_named():
    P = np.array([[[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [0.0, 1.0]]])
    with pytest.raises(ValueError, match="after 50 sweeps a value still changes by 1: .* may be infinite"):
        value_iteration(P, [[1.0, 0.0], [0.0, 0.0]], 1.0, max_sweeps=50)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda P, R: value_iteration(P * 0.5, R, 0.9), "rows of P must sum to one"),
        (lambda P, R: policy_evaluation(P, R, [[0.5, 0.4]] * 16, 0.9), "a policy must be"),
        (lambda P, R: policy_evaluation(P, R, [0, 1], 0.9), "one row for each of the 16 states, got 2"),
        (lambda P, R: next(sweeps(P, R, 0.9, [0.0])), r"one value per state, \(16,\), got \(1,\)"),
        (lambda P, R: next(modified_sweeps(P, R, 0.9, -1)), "repeats must be 0 or more"),
    ],
)
def test_bad_input_is_named(call, says):
    lake = frozen_lake()
    with pytest.raises(ValueError, match=says):
        call(lake.P, lake.R)


def test_endings_are_found():
    lake = frozen_lake()
    assert (endings(lake.P, lake.R) == lake.terminal).all()


def test_the_known_chance_of_crossing_the_lake():
    """Without a time limit the best policy on slippery ice reaches the goal in 14 of 17 episodes."""
    lake = frozen_lake()
    values, policy = value_iteration(lake.P, lake.R, 1.0, 1e-13)
    assert values[0] == pytest.approx(14 / 17, abs=1e-9)
    assert policy_evaluation(lake.P, lake.R, policy, 1.0)[0] == pytest.approx(14 / 17, abs=1e-9)
