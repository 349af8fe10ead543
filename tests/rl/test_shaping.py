"""Shaping: telescoping sums, the same best actions in random worlds, and bonuses that do change them."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.episodes import play
from llmrl.rl.mdp import MDP, absorbing
from llmrl.rl.planning import greedy, policy_evaluation, policy_iteration, q_from_v
from llmrl.rl.returns import returns
from llmrl.rl.shaping import shaped, shaping_reward, with_bonus
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import gridworld, random_mdp

seeds = st.integers(0, 10_000)
GRID = gridworld(("S..", ".#.", "H.G"), pays={"H": 0.3, "G": 1.0}, slip=0.1)


def world(seed, ends=2):
    """Six states, three actions, the last states terminal."""
    random = numpy_rng(seed, "world")
    mdp, terminal = random_mdp(6, 3, 3, random), np.arange(6) >= 6 - ends
    return MDP.checked(*absorbing(mdp.P, mdp.R, terminal), None, terminal), random


def best_q(mdp, gamma):
    values, _ = policy_iteration(mdp.P, mdp.R, gamma)
    return q_from_v(mdp.P, mdp.R, values, gamma)


@settings(max_examples=25, deadline=None)
@given(seeds, st.floats(0, 0.98), st.integers(0, 2), st.floats(0.01, 100))
def test_values_move_by_the_potential_and_best_actions_stay(seed, gamma, ends, scale):
    mdp, random = world(seed, ends)
    potential = scale * random.normal(size=6) * ~mdp.terminal
    other, policy = shaped(mdp, potential, gamma), random.dirichlet(np.ones(3), 6)
    before, after = (policy_evaluation(m.P, m.R, policy, gamma) for m in (mdp, other))
    np.testing.assert_allclose(after, before - potential, atol=1e-9 * max(scale, 1))
    before, after = best_q(mdp, gamma), best_q(other, gamma)
    np.testing.assert_allclose(after, before - potential[:, None], atol=1e-9 * max(scale, 1))
    np.testing.assert_array_equal(greedy(after, 1e-6), greedy(before, 1e-6))


def test_wrong_shaping_changes_the_best_actions():
    """Each of the usual slips, on worlds in which the right form changes nothing."""
    flipped = {"bonus": 0, "no gamma": 0, "an end with a potential": 0, "sign": 0}
    for seed in range(30):
        mdp, random = world(seed)
        free = random.normal(size=6)
        zero = free * ~mdp.terminal
        wrong = {
            "bonus": zero,
            "no gamma": zero - zero[:, None, None],
            "an end with a potential": 0.9 * free - free[:, None, None],
            "sign": zero[:, None, None] + 0.9 * zero,
        }
        for name, bonus in wrong.items():
            changed = greedy(best_q(with_bonus(mdp, bonus), 0.9), 1e-6) != greedy(best_q(mdp, 0.9), 1e-6)
            flipped[name] += changed[~mdp.terminal].any()
    assert min(flipped.values()) > 5, flipped


def test_the_sum_along_an_episode_is_what_it_started_with():
    random = numpy_rng(0, "episodes")
    potential = random.normal(size=9) * ~GRID.terminal
    seen = play(GRID, np.full((9, 4), 0.25), random, 50, 400)
    assert not seen.truncated.any()
    paid = shaping_reward(potential, seen.states[:-1], seen.states[1:], 0.9)
    np.testing.assert_allclose(returns(paid, seen.terminated, 0.9)[0], -potential[seen.states[0]], atol=1e-12)


def test_the_shaped_world_pays_what_the_formula_says():
    potential = np.array([3.0, 1.0, 2.0, 5.0, 0.0, -1.0, 0.0, 4.0, 0.0])
    other = shaped(GRID, potential, 0.9)
    s, a, t = (np.array(x) for x in zip(*np.argwhere((GRID.P > 0) & ~GRID.terminal[:, None, None])))
    np.testing.assert_allclose(other.R[s, a, t] - GRID.R[s, a, t], 0.9 * potential[t] - potential[s])
    assert (other.R[GRID.terminal] == 0).all() and (other.P == GRID.P).all() and (other.start == GRID.start).all()


def test_a_bonus_is_added_and_ends_pay_nothing():
    found = with_bonus(GRID, -0.25)
    live = ~GRID.terminal
    np.testing.assert_allclose(found.R[live], GRID.R[live] - 0.25)
    assert (found.R[GRID.terminal] == 0).all()


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: shaped(GRID, np.ones(9), 0.9), "terminal states must be 0, and that of state 4"),
        (lambda: shaped(GRID, np.zeros(8), 0.9), "one finite number per state"),
        (lambda: shaped(GRID, np.full(9, np.nan), 0.9), "one finite number per state"),
        (lambda: shaped(GRID, np.zeros(9), 1.5), "gamma must lie in"),
        (lambda: shaping_reward(np.zeros(3), 0, 1, -0.5), "gamma must lie in"),
        (lambda: with_bonus(GRID, np.zeros((9, 4))), "a bonus must fit"),
        (lambda: with_bonus(GRID, np.inf), "rewards must be finite"),
    ],
)
def test_bad_input_is_named(call, says):
    with pytest.raises(ValueError, match=says):
        call()
