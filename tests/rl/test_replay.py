"""The ring against a deque, its contents against the physics they came from, its draws against uniform chances."""

from collections import deque

import gymnasium
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.replay import Replay, real_steps
from llmrl.seeds import numpy_rng


def transition(t, learners, width=2):
    """One recognisable transition per learner."""
    states = 100.0 * np.arange(learners)[:, None] + t + np.array([0.0, 0.5])[:width]
    row = np.arange(learners)
    return states, row + t, t + 0.25 * row, states + 1, ((row + t) % 3 == 0, (row + t) % 4 == 0)


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=1, max_size=12))
def test_it_holds_what_a_deque_per_learner_holds(capacity, kept):
    memory, wanted = Replay(capacity, 3, 2), [deque(maxlen=capacity) for _ in range(3)]
    for t, keep in enumerate(kept):
        states, actions, rewards, after, ends = transition(t, 3)
        memory.add(states, actions, rewards, after, ends, keep=np.array(keep))
        for n in np.flatnonzero(keep):
            wanted[n].append((*states[n], actions[n], rewards[n], *after[n], *(end[n] for end in ends)))
    assert len(memory) == min(map(len, wanted))
    for n in range(3):
        rows = np.concatenate([field[n].reshape(capacity, -1) for field in memory.fields()], 1)[: len(wanted[n])]
        assert sorted(map(tuple, rows.tolist())) == sorted(tuple(map(float, row)) for row in wanted[n])


def test_every_transition_is_drawn_equally_often():
    memory = Replay(5, 2, 2)
    for t in range(8):  # the first three are overwritten
        memory.add(*transition(t, 2))
    drawn = memory.sample(20_000, numpy_rng(0, "draw")).rewards.numpy()
    for n in range(2):
        values, counts = np.unique(drawn[n], return_counts=True)
        assert values.tolist() == [t + 0.25 * n for t in range(3, 8)]
        assert np.abs(counts - 4000).max() < 6 * (20_000 * 0.2 * 0.8) ** 0.5


def test_ends_are_kept_apart():
    memory = Replay(4, 1, 1)
    for ends in ((True, False), (False, True), (False, False)):
        memory.add([[0.0]], [0], [1.0], [[1.0]], tuple(np.array([end]) for end in ends))
    batch = memory.at(np.array([[0, 1, 2]]))
    assert batch.terminated.tolist() == [[1, 0, 0]] and batch.truncated.tolist() == [[0, 1, 0]]


def logged(envs, steps, random):
    """What a vector environment shows to one who acts at random."""
    states, _ = envs.reset(seed=1)
    for _ in range(steps):
        actions = random.integers(2, size=envs.num_envs)
        after, rewards, terminated, truncated, _ = envs.step(actions)
        yield states, actions, rewards, after, (terminated, truncated)
        states = after


def test_every_stored_step_is_one_of_cart_pole_and_none_joins_two_episodes():
    envs = gymnasium.make_vec("CartPole-v1", 3, vectorization_mode="vector_entry_point", max_episode_steps=15)
    log = list(logged(envs, 120, numpy_rng(0, "actions")))
    real = real_steps(*(np.stack([row[4][k] for row in log]) for k in (0, 1)))
    memory = Replay(200, 3, 4)
    for row, keep in zip(log, real):
        memory.add(*row, keep=keep)
    single = gymnasium.make("CartPole-v1").unwrapped
    single.reset(seed=0)
    ends = 0
    for n, at in np.argwhere(np.arange(200) < memory.count[:, None]):
        single.state, single.steps_beyond_terminated = memory.states[n, at].astype(float), None
        after, reward, terminated, _, _ = single.step(int(memory.actions[n, at]))
        np.testing.assert_allclose(memory.next_states[n, at], after, atol=1e-5)
        assert (memory.rewards[n, at], memory.terminated[n, at]) == (reward, terminated)
        ends += memory.truncated[n, at] or memory.terminated[n, at]
    assert memory.truncated.any() and memory.terminated.any()
    assert ends == real.size - real.sum() + np.sum(log[-1][4])  # every end but the last step's costs one reset


def test_without_the_mask_the_log_holds_steps_that_never_happened():
    envs = gymnasium.make_vec("CartPole-v1", 1, vectorization_mode="vector_entry_point")
    log = list(logged(envs, 100, numpy_rng(0, "actions")))
    real = real_steps(*(np.stack([row[4][k] for row in log]) for k in (0, 1)))[:, 0]
    assert not real.all() and all(log[t][2][0] == 0.0 for t in np.flatnonzero(~real))  # they pay nothing


@settings(max_examples=20)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_the_step_after_an_end_is_not_real(ends):
    terminated, truncated = (np.array(column)[:, None] for column in zip(*ends))
    wanted = [t == 0 or not any(ends[t - 1]) for t in range(len(ends))]
    assert real_steps(terminated, truncated)[:, 0].tolist() == wanted


@pytest.mark.parametrize("arguments", [(0, 1, 4), (-3, 1, 4), (10, 0, 4), (10, 1, 0), (2.5, 1, 4)])
def test_sizes_are_counts(arguments):
    with pytest.raises(ValueError, match="must be a whole number of at least 1, got"):
        Replay(*arguments)


def test_states_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"must be \(learners, numbers per state\) = \(2, 4\), got \(2, 3\)"):
        Replay(5, 2, 4).add(np.zeros((2, 3)), [0, 0], [0, 0], np.zeros((2, 3)), ([0, 0], [0, 0]))


def test_nothing_can_be_drawn_before_every_learner_has_something():
    memory = Replay(5, 2, 2)
    memory.add(*transition(0, 2), keep=np.array([True, False]))
    with pytest.raises(ValueError, match="nothing to draw from"):
        memory.sample(1, numpy_rng(0, "draw"))
