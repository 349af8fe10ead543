"""The small worlds are what they are known as, and Gymnasium's checker has nothing to say about them."""

import warnings

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from llmrl.rl.planning import policy_evaluation, value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy import environments as toy

WORLDS = {
    "frozen_lake": toy.frozen_lake(),
    "cliff": toy.cliff(),
    "random_walk": toy.random_walk(),
    "two_state_loop": toy.two_state_loop(),
    "sparse_chain": toy.sparse_chain(),
    "aliased_corridor": toy.aliased_corridor()[0],
    "maximisation_bias": toy.maximisation_bias(),
    "random_mdp": toy.random_mdp(6, 3, 2, numpy_rng(0, "world")),
}


@pytest.mark.parametrize("limit", [None, 7])
@pytest.mark.parametrize("name", WORLDS)
def test_gymnasiums_checker_is_content(name, limit):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(toy.TabularEnv(WORLDS[name], limit), skip_render_check=True)  # there is nothing to render


def test_a_time_limit_truncates_and_an_end_terminates():
    env = toy.TabularEnv(toy.sparse_chain(3), max_steps=3)
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (False, True)]
    env.reset()
    assert [env.step(1) for _ in range(3)][-1] == (3, 1.0, True, False, {}), "the end at the limit is an end"


def test_an_environment_and_its_table_agree():
    env = toy.TabularEnv(toy.frozen_lake(), max_steps=100)
    action, wins, episodes = value_iteration(env.mdp.P, env.mdp.R, 0.99)[1].argmax(1), 0, 400
    for episode in range(episodes):
        state, _ = env.reset(seed=episode)
        done = False
        while not done:
            state, paid, terminated, truncated, _ = env.step(int(action[state]))
            done = terminated or truncated
        wins += paid
    assert 0.74 == pytest.approx(wins / episodes, abs=0.1)


@pytest.mark.parametrize("bad", [4, -1, 1.5, "left"])
def test_a_wrong_action_is_named(bad):
    env = toy.TabularEnv(toy.frozen_lake())
    env.reset(seed=0)
    with pytest.raises(ValueError, match="action must be a whole number from 0 to 3"):
        env.step(bad)


def test_a_step_before_the_reset_is_named():
    with pytest.raises(ValueError, match=r"call reset\(\) before step\(\)"):
        toy.TabularEnv(toy.frozen_lake()).step(0)


def test_walls_hold_and_slipping_is_to_the_sides():
    grid = toy.gridworld(["S#", ".G"], pays={"G": 2.0}, cost=0.5, slip=0.1)
    assert grid.P[0, 2].tolist() == pytest.approx([0.9, 0.0, 0.1, 0.0])  # right: held by the wall; down by slipping
    assert grid.P[0, 1].tolist() == pytest.approx([0.2, 0.0, 0.8, 0.0])
    assert grid.R[2, 2, 3] == 1.5 and grid.R[0, 1, 2] == -0.5 and grid.terminal.tolist() == [False, True, False, True]


def test_the_walk_is_that_of_the_book():
    walk = toy.random_walk(19)
    values = policy_evaluation(walk.P, walk.R, np.full((21, 2), 0.5), 1.0)
    np.testing.assert_allclose(values[1:-1], np.arange(-9, 10) / 10, atol=1e-12)
    assert walk.start[10] == 1


def test_one_action_looks_better_than_it_is():
    world = toy.maximisation_bias(10, -0.1, 1.0)
    assert value_iteration(world.P, world.R, 1.0)[0][:2].tolist() == pytest.approx([0.0, -0.1])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: toy.gridworld(["..", ".G"]), "at least one S"),
        (lambda: toy.gridworld(["S.", "G"]), "rows of one length"),
        (lambda: toy.gridworld(["SG"], slip=0.6), "must lie in 0 to 0.5, got 0.6"),
        (lambda: toy.cliff(1, 12), "2 or more rows"),
        (lambda: toy.random_walk(0), "1 or more states"),
        (lambda: toy.sparse_chain(-1), "1 or more states"),
        (lambda: toy.maximisation_bias(1), "2 or more actions"),
        (lambda: toy.random_mdp(3, 2, 4, numpy_rng(0, "x")), "1 to 3 states, got branches=4"),
        (lambda: toy.TabularEnv(toy.cliff(), 0), "max_steps must be 1 or more"),
    ],
)
def test_impossible_worlds_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()


def test_gymnasium_is_the_pinned_one():
    assert gymnasium.__version__.split(".")[0] == "1"
