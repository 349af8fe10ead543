"""Episodes keep the two ends apart, waste nothing after an end, and pay on average what the exact values say."""

import numpy as np
import pytest

from llmrl.rl.episodes import play
from llmrl.rl.planning import policy_evaluation
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import frozen_lake, random_walk, sparse_chain, two_state_loop


def test_a_chain_is_walked_to_its_end_and_no_farther():
    seen = play(sparse_chain(3), np.ones(4, int), numpy_rng(0, "chain"), players=2, steps=5)
    assert seen.states[:, 0].tolist() == [0, 1, 2, 3, 3, 3]
    assert seen.rewards[:, 1].tolist() == [0, 0, 1, 0, 0]
    assert seen.live[:, 0].tolist() == [True, True, True, False, False]
    assert seen.terminated[:, 0].tolist() == [False, False, True, True, True]
    assert not seen.truncated.any() and seen.discounted(0.5).tolist() == [0.25, 0.25]


def test_what_is_cut_has_not_ended():
    seen = play(sparse_chain(3), np.ones(4, int), numpy_rng(0, "cut"), players=1, steps=2)
    assert seen.truncated.all() and not seen.terminated.any() and seen.live.all()


def test_beginnings_can_be_chosen():
    seen = play(random_walk(5), np.tile(0.5, (7, 2)), numpy_rng(0, "begin"), 3, 1, begin=[0, 1, 6])
    assert seen.states[0].tolist() == [0, 1, 6] and seen.live[0].tolist() == [False, True, False]


def test_the_mean_return_is_the_exact_value():
    world, policy = frozen_lake(), np.full((16, 4), 0.25)
    returns = play(world, policy, numpy_rng(3, "mean"), 20_000, 200).discounted(0.95)
    exact = policy_evaluation(world.P, world.R, policy, 0.95)[0]
    assert abs(returns.mean() - exact) < 4.5 * returns.std() / np.sqrt(len(returns))


def test_actions_follow_the_policy():
    seen = play(two_state_loop(), np.ones((2, 1)), numpy_rng(0, "one"), 4, 6)
    assert (seen.actions == 0).all() and seen.rewards[:, 0].tolist() == [1, 0, 1, 0, 1, 0]
    policy = np.array([[0.9, 0.1]] * 7)
    actions = play(random_walk(5), policy, numpy_rng(0, "often"), 10_000, 1).actions
    assert abs(actions.mean() - 0.1) < 5 * 0.3 / 100


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_a_wrong_number_of_steps_is_named(steps):
    with pytest.raises(ValueError, match="steps must be a whole number of 1 or more"):
        play(two_state_loop(), [0, 0], numpy_rng(0, "steps"), 1, steps)
