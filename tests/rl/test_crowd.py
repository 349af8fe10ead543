"""A crowd of players: fresh starts as Gymnasium has them, limits that truncate, the world's own chances."""

import numpy as np
import pytest

from llmrl.rl.crowd import Crowd
from llmrl.toy.environments import sparse_chain


def crowd(players=3, limit=None, n=4):
    mdp = sparse_chain(n)
    players = Crowd(mdp, np.eye(mdp.states), players, limit)
    return players, players.reset(seed=0)[0]


def test_an_episode_terminates_then_starts_anew_on_a_step_of_its_own():
    players, seen = crowd()
    right, history = np.ones(3, int), []
    assert seen.dtype == np.float32 and (seen.argmax(1) == 0).all()
    for _ in range(6):
        seen, rewards, terminated, truncated, _ = players.step(right)
        history.append((seen.argmax(1)[0], rewards[0], terminated[0]))
        assert not truncated.any()
    assert history == [(1, 0, False), (2, 0, False), (3, 0, False), (4, 1, True), (0, 0, False), (1, 0, False)]


def test_a_limit_truncates_keeps_the_state_and_never_terminates():
    players, _ = crowd(limit=3)
    ends = []
    for _ in range(8):
        seen, _, terminated, truncated, _ = players.step(np.ones(3, int))
        ends.append((int(seen.argmax(1)[0]), bool(terminated[0]), bool(truncated[0])))
    assert [t for t, (*_, cut) in enumerate(ends) if cut] == [2, 6]
    assert ends[2][0] == 3 and ends[3][0] == 0 and not any(terminated for _, terminated, _ in ends)


def test_a_terminated_step_at_the_limit_is_no_truncation():
    players, _ = crowd(limit=4)
    for _ in range(4):
        _, _, terminated, truncated, _ = players.step(np.ones(3, int))
    assert terminated.all() and not truncated.any()


def test_players_are_independent_and_the_seed_decides():
    runs = []
    for seed in (1, 1, 2):
        players = Crowd(sparse_chain(3), np.eye(4), 5)
        players.reset(seed=seed)
        random = np.random.default_rng(0)
        runs.append(np.stack([players.step(random.integers(2, size=5))[0] for _ in range(20)]))
    assert (runs[0] == runs[1]).all()


def test_bad_input_is_named():
    with pytest.raises(ValueError, match=r"one row per state, \(5, D\), got \(4, 4\)"):
        Crowd(sparse_chain(4), np.eye(4), 2)
    with pytest.raises(ValueError, match="a time limit must be 1 step or more, got 0"):
        Crowd(sparse_chain(4), np.eye(5), 2, limit=0)
