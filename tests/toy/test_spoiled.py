"""Gymnasium's checker refuses one of the spoiled environments, and cannot see what is wrong with the other."""

import warnings

import pytest
from gymnasium.utils.env_checker import check_env

from llmrl.toy import spoiled
from llmrl.toy.environments import frozen_lake, two_state_loop


def checked(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)


def test_a_broken_rule_is_seen():
    with pytest.raises((AssertionError, Warning), match="reset"):
        checked(spoiled.OwnDice(frozen_lake(), 8))


def test_a_time_limit_that_pretends_to_be_an_ending_is_not():
    env = spoiled.Mixed(two_state_loop(), 3)
    checked(spoiled.Mixed(frozen_lake(), 8))
    env.reset(seed=0)
    assert [env.step(0)[2:4] for _ in range(3)] == [(False, False), (False, False), (True, False)]
