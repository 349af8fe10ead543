"""An MDP obeys its rules or names the broken one; players follow its chances; Gymnasium's tables are read right."""

import gymnasium
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rl import mdp as worlds
from llmrl.rl.mdp import MDP, absorbing, chain, draw, from_gymnasium, reward, step
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import cliff, frozen_lake, random_mdp

P = np.array([[[0.5, 0.5], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])  # state 1 ends everything
R = np.array([[1.0, -1.0], [0.0, 0.0]])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"P": P * 0.9}, r"rows of P must sum to one, and P\[s, a\] at \(0, 0\) sums to 0.9"),
        ({"P": np.where(P == 1, 1.5, P - 0.25)}, "rows of P must not be negative, got -0.25"),
        ({"P": np.full_like(P, np.nan)}, "must not be negative, got nan"),
        ({"P": P[0]}, r"P must be \(S, A, S\), one row of next-state chances per state and action, got \(2, 2\)"),
        ({"P": P[:, :, :1]}, r"P must be \(S, A, S\)"),
        ({"R": R[:1]}, r"R must be \(S, A, S\) or \(S, A\) = \(2, 2\), got \(1, 2\)"),
        ({"R": np.where(R == 1, np.inf, R)}, "rewards must be finite"),
        ({"start": [0.5, 0.4]}, "start must sum to one, and it sums to 0.9"),
        ({"start": 2}, "start must be a state from 0 to 1, got 2"),
        ({"start": [1.0]}, r"start must be one state or \(2,\) probabilities"),
        ({"terminal": [True]}, r"terminal must hold one True or False per state, \(2,\), got \(1,\)"),
        ({"terminal": [True, True]}, r"one of \[0, 1\] does not: pass absorbing"),
        ({"R": R + 1, "terminal": [False, True]}, "terminal states must loop onto themselves with reward 0"),
    ],
)
def test_a_broken_rule_is_named(change, says):
    with pytest.raises(ValueError, match=says):
        MDP.checked(**{"P": P, "R": R, **change})


def test_defaults_start_anywhere_alive_and_nothing_can_be_changed_later():
    made = MDP.checked(P, R, terminal=[False, True])
    assert made.start.tolist() == [1.0, 0.0] and made.R.shape == (2, 2, 2)
    assert MDP.checked(P, R).start.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        made.P[0, 0, 0] = 1.0


def test_absorbing_makes_a_world_end():
    P2, R2 = absorbing(np.full((3, 2, 3), 1 / 3), np.ones((3, 2, 3)), [False, True, False])
    made = MDP.checked(P2, R2, terminal=[False, True, False])
    assert made.P[1].tolist() == [[0, 1, 0]] * 2 and not made.R[1].any()
    assert (made.R[0] == 1).all() and np.allclose(made.P[0], 1 / 3)


def test_a_reward_per_outcome_is_averaged_by_its_chance():
    made = MDP.checked(P, [[[2.0, 4.0], [1.0, 99.0]], [[0.0, 0.0]] * 2])
    assert reward(made).tolist() == [[3.0, 1.0], [0.0, 0.0]]


def test_a_policy_makes_a_chain():
    to, paid = chain(MDP.checked(P, R), [[0.5, 0.5], [1.0, 0.0]])
    assert to.tolist() == [[0.75, 0.25], [0.0, 1.0]] and paid.tolist() == [0.0, 0.0]
    assert chain(MDP.checked(P, R), [1, 0])[1].tolist() == [-1.0, 0.0]


@pytest.mark.parametrize(
    ("policy", "says"),
    [
        ([0, 2], "actions must lie in 0 to 1, got 0 to 2"),
        ([[0.5, 0.6], [1, 0]], "a policy's rows must sum to one"),
        ([0.5, 0.5], r"a policy must be \(S, 2\) chances or \(S,\) whole actions"),
        ([[1.0], [1.0]], r"a policy must be \(S, 2\)"),
    ],
)
def test_a_broken_policy_is_named(policy, says):
    with pytest.raises(ValueError, match=says):
        worlds.probabilities(policy, 2)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(1, 3), st.data())
def test_many_players_visit_states_as_often_as_the_chances_say(seed, states, actions, data):
    world = random_mdp(states, actions, data.draw(st.integers(1, states)), numpy_rng(seed, "world"))
    s, a = data.draw(st.integers(0, states - 1)), data.draw(st.integers(0, actions - 1))
    n = 2000
    after, paid, ended = step(world, np.full(n, s), np.full(n, a), numpy_rng(seed, "steps"))
    counts, expected = np.bincount(after, minlength=states), n * world.P[s, a]
    assert (counts[expected == 0] == 0).all() and not ended.any() and (paid == world.R[s, a, after]).all()
    assert (np.abs(counts - expected) <= 6 * np.sqrt(expected) + 1e-9).all()


def test_drawing_inverts_the_cumulative_sum():
    class Fixed:
        def random(self, n):
            return np.array([0.0, 0.25, 0.2499, 0.999999, 0.5])

    rows = np.tile([0.0, 0.25, 0.0, 0.75, 0.0], (5, 1))
    assert draw(rows, Fixed()).tolist() == [1, 3, 1, 3, 3]


def test_a_sum_that_is_a_little_below_one_never_leaves_the_possible_states():
    class Largest:
        def random(self, n):
            return np.full(n, np.nextafter(1.0, 0.0))

    row = np.array([[0.1] * 10 + [0.0]])
    assert row.cumsum()[-2] < 1 and draw(row, Largest()).tolist() == [9]


def test_an_ended_player_stays_and_is_paid_nothing():
    world = MDP.checked(P, R, terminal=[False, True])
    after, paid, ended = step(world, [1, 1], [0, 1], numpy_rng(0, "end"))
    assert (after.tolist(), paid.tolist(), ended.tolist()) == ([1, 1], [0.0, 0.0], [True, True])


@pytest.mark.parametrize(
    ("states", "actions", "says"),
    [
        ([0, 2], [0, 0], "states must lie in 0 to 1, got 0 to 2"),
        ([0, -1], [0, 0], "states must lie in 0 to 1"),
        ([0], [2], "actions must lie in 0 to 1"),
        ([0, 0], [1], r"actions must be \(N,\) whole numbers, got \(1,\)"),
        ([0.0], [0], r"states must be \(N,\) whole numbers, got \(1,\) of float64"),
        (0, 0, r"states must be \(N,\) whole numbers"),
    ],
)
def test_a_wrong_step_is_named(states, actions, says):
    with pytest.raises(ValueError, match=says):
        step(MDP.checked(P, R), states, actions, numpy_rng(0, "wrong"))


@pytest.mark.parametrize("players", [0, -3, 2.5])
def test_a_wrong_number_of_players_is_named(players):
    with pytest.raises(ValueError, match="number of players must be a whole number of 1 or more"):
        worlds.starts(MDP.checked(P, R), players, numpy_rng(0, "players"))


@pytest.mark.parametrize("slippery", [True, False])
@pytest.mark.parametrize("rows", [None, ["SFF", "FHF", "FFG"]])
def test_our_lake_is_gymnasiums(slippery, rows):
    theirs = from_gymnasium(gymnasium.make("FrozenLake-v1", is_slippery=slippery, desc=rows))
    ours = frozen_lake(slippery, rows) if rows else frozen_lake(slippery)
    assert_equal_worlds(ours, theirs)


def test_our_cliff_is_gymnasiums():
    assert_equal_worlds(cliff(), from_gymnasium(gymnasium.make("CliffWalking-v1")))


def assert_equal_worlds(ours, theirs):
    for a, b in ((ours.P, theirs.P), (ours.P * ours.R, theirs.P * theirs.R)):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-15)
    assert (ours.start == theirs.start).all() and (ours.terminal == theirs.terminal).all()


def test_every_row_of_gymnasiums_table_is_kept():
    env = gymnasium.make("FrozenLake-v1")
    world = from_gymnasium(env)
    for s, a in np.ndindex(16, 4):
        if world.terminal[s]:
            continue
        for after in range(16):
            outcomes = [(p, r) for p, s2, r, _ in env.unwrapped.P[s][a] if s2 == after]
            assert world.P[s, a, after] == pytest.approx(sum(p for p, _ in outcomes), abs=1e-15)
            if outcomes:
                assert world.R[s, a, after] == pytest.approx(sum(p * r for p, r in outcomes) / world.P[s, a, after])


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("CartPole-v1", r"two spaces Discrete\(n\) that start at 0, got Box"),
        ("Blackjack-v1", "got Tuple"),
    ],
)
def test_an_environment_that_is_no_table_is_refused(name, says):
    with pytest.raises(ValueError, match=says):
        from_gymnasium(gymnasium.make(name))


def test_an_environment_without_its_table_is_refused():
    env = gymnasium.make("FrozenLake-v1")
    del env.unwrapped.P
    with pytest.raises(ValueError, match="keeps no table P"):
        from_gymnasium(env)


def test_an_end_that_depends_on_how_one_came_is_refused():
    env = gymnasium.make("FrozenLake-v1", is_slippery=False)
    env.unwrapped.P[14][2] = [(0.5, 15, 1.0, True), (0.5, 15, 0.0, False)]
    with pytest.raises(ValueError, match="entered both with terminated=True and without"):
        from_gymnasium(env)
