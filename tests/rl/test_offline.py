"""A log is checked against the world it came from, against replay step by step, and on what it does not hold."""

import numpy as np
import pytest

from llmrl.rl.mdp import MDP
from llmrl.rl.offline import Log, counted, record, replayed
from llmrl.rl.planning import policy_evaluation, q_from_v, value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.environments import frozen_lake, random_mdp, two_state_loop

RANDOM = np.full((16, 4), 0.25)


def best(q):
    return q.max(-1)


def test_a_log_follows_the_rules():
    lake = frozen_lake()
    log = record(lake, RANDOM, numpy_rng(0, "log"), 300, 6, limit=10)
    assert (lake.P[log.states, log.actions, log.after] > 0).all() and not lake.terminal[log.states].any()
    assert (log.terminated == lake.terminal[log.after]).all()
    goes_on = log.states[1:] == log.after[:-1]
    assert ((log.states[1:] == 0) | goes_on).all() and not goes_on[log.terminated[:-1]].any()
    longest = record(lake, np.eye(4)[np.full(16, 0)], numpy_rng(0, "left"), 45, 2, limit=10)
    assert (longest.states[10] == 0).all()


def test_counts_by_hand():
    log = Log(*(np.array(x)[:, None] for x in ([0, 0, 1], [1, 1, 0], [2.0, 4.0, 1.0], [1, 0, 1], [False, False, True])))
    data = counted(log, 2, 2)
    assert data.counts[0].tolist() == [[0, 2], [1, 0]] and data.paid[0].tolist() == [[0, 3], [1, 0]]
    assert data.leads[0, 0, 1].tolist() == [0.5, 0.5] and data.leads[0, 1].sum() == 0  # it terminated: leads nowhere


def test_one_logger_needs_no_axis():
    log = record(frozen_lake(), RANDOM, numpy_rng(0, "log"), 200, 2)
    both = counted(log, 16, 4)
    for n in range(2):
        alone = counted(Log(log.states[:, n], log.actions[:, n], log.rewards[:, n], log.after[:, n],
                            log.terminated[:, n]), 16, 4)  # fmt: skip
        assert all((getattr(alone, part) == getattr(both, part)[n]).all() for part in ("counts", "paid", "leads"))


def test_a_replayed_log_is_the_best_plan_for_what_it_says():
    world = random_mdp(5, 2, 2, numpy_rng(0, "world"))
    data = counted(record(world, np.full((5, 2), 0.5), numpy_rng(0, "log"), 500, 3), 5, 2)
    for n in range(3):
        said = MDP.checked(data.leads[n], data.paid[n])
        exact = q_from_v(said.P, said.R, value_iteration(said.P, said.R, 0.9)[0], 0.9)
        np.testing.assert_allclose(replayed(data, best, 0.9)[n], exact, atol=1e-8)


def test_many_passes_of_small_steps_come_to_the_same():
    """The plain way: Q-learning's update for one logged step after the other, over and over, with a small alpha."""
    world = random_mdp(3, 2, 2, numpy_rng(1, "world"))
    log = record(world, np.full((3, 2), 0.5), numpy_rng(1, "log"), 60, 1)
    q = np.zeros((3, 2))
    for _ in range(3000):
        for s, a, r, after in zip(log.states[:, 0], log.actions[:, 0], log.rewards[:, 0], log.after[:, 0]):
            q[s, a] += 0.002 * (r + 0.5 * q[after].max() - q[s, a])
    np.testing.assert_allclose(q, replayed(counted(log, 3, 2), best, 0.5)[0], atol=5e-3)


def test_enough_data_find_the_truth():
    lake = frozen_lake()
    data = counted(record(lake, RANDOM, numpy_rng(0, "much"), 10_000, 30), 16, 4)
    whole = type(data)(*(x.mean(0, keepdims=True) for x in (data.counts, data.paid, data.leads)))
    exact = q_from_v(lake.P, lake.R, policy_evaluation(lake.P, lake.R, RANDOM, 0.9), 0.9)
    np.testing.assert_allclose(replayed(whole, lambda q: q.mean(-1), 0.9)[0], exact, atol=0.06)


def test_what_the_log_does_not_hold_keeps_its_first_value():
    loop = two_state_loop()
    data = counted(record(MDP.checked(np.tile(loop.P, (1, 2, 1)), np.zeros((2, 2))), [0, 0], numpy_rng(0), 4, 1), 2, 2)
    q = replayed(data, best, 0.5, first=8.0)
    assert (q[0, :, 1] == 8).all() and (q[0, :, 0] == 4).all()  # the maximum believes the 8


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: record(frozen_lake(), RANDOM, numpy_rng(0), 0, 1), "steps must be 1 or more"),
        (lambda: record(frozen_lake(), RANDOM * 2, numpy_rng(0), 5, 1), "must sum to one"),
        (lambda: replayed(None, best, 1.0), "gamma must lie in [0, 1), got 1.0"),
    ],
)
def test_bad_input_says_what_to_do(call, says):
    with pytest.raises(ValueError) as error:
        call()
    assert says in str(error.value)
