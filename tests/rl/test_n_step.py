"""Windows folded into one transition, against the plain loop, and drawn from a ring that has gone round."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.n_step import Windows, fold, uncorrected
from llmrl.rl.planning import q_from_v, value_iteration
from llmrl.seeds import numpy_rng
from llmrl.toy.catch import catch


def plain(rewards, terminated, truncated, gamma):
    total, weight = 0.0, 1.0
    for t, reward in enumerate(rewards):
        total, weight = total + weight * reward, weight * gamma
        if terminated[t]:
            return total, 0.0, t
        if truncated[t]:
            return total, weight, t
    return total, weight, len(rewards) - 1


step = st.tuples(st.floats(-5, 5, width=32), st.sampled_from(["on", "on", "terminated", "truncated"]))


@settings(deadline=None, max_examples=40)
@given(st.lists(step, min_size=1, max_size=8), st.floats(0, 1))
def test_fold_is_the_plain_loop(steps, gamma):
    rewards = torch.tensor([reward for reward, _ in steps], dtype=torch.float64)
    ends = [torch.tensor([how == name for _, how in steps]) for name in ("terminated", "truncated")]
    found = [x.item() for x in fold(rewards, *ends, gamma)]
    assert found == pytest.approx(plain(rewards.tolist(), *(end.tolist() for end in ends), gamma))


def test_a_time_limit_keeps_the_value_of_what_follows_and_an_end_does_not():
    rewards, no = torch.tensor([[1.0, 2.0, 4.0]]), torch.tensor([[False, False, False]])
    here = torch.tensor([[False, True, False]])
    folded, discount, last = fold(rewards, no, here, 0.5)
    assert (folded.item(), discount.item(), last.item()) == (2.0, 0.25, 1)
    folded, discount, last = fold(rewards, here, no, 0.5)
    assert (folded.item(), discount.item(), last.item()) == (2.0, 0.0, 1)
    folded, discount, last = fold(rewards, no, no, 0.5)
    assert (folded.item(), discount.item(), last.item()) == (3.0, 0.125, 2)


def test_what_lies_behind_the_end_may_be_anything():
    rewards = torch.tensor([1.0, float("nan")])
    ended, no = torch.tensor([True, False]), torch.tensor([False, False])
    assert fold(rewards, ended, no, 0.9)[0] == 1.0


def filled(n, capacity, steps, learners=2, ends=()):
    """Step t of learner k is state t + 100 k, reward t; states and rewards say where a window came from."""
    memory = Windows(capacity, learners, 1, n, 0.5)
    for t in range(steps):
        here = np.arange(learners)[:, None] * 100.0 + t
        stopped = np.full(learners, t in ends)
        memory.add(here, np.zeros(learners), np.full(learners, t), here + 1, (np.zeros(learners, bool), stopped))
    return memory


@pytest.mark.parametrize("steps", [5, 8, 11, 40])
def test_windows_are_n_successive_steps_even_when_the_ring_has_gone_round(steps):
    memory = filled(3, 8, steps)
    drawn = memory.sample(500, numpy_rng(0, "windows"))
    first = drawn.states[..., 0] - torch.tensor([[0.0], [100.0]])
    oldest = max(0, steps - 8)
    assert sorted(set(first.flatten().tolist())) == list(range(oldest, steps - 2))
    torch.testing.assert_close(drawn.returns, first + 0.5 * (first + 1) + 0.25 * (first + 2))
    torch.testing.assert_close(drawn.next_states, drawn.states + 3)
    assert (drawn.discount == 0.125).all() and (drawn.weights == 1).all()


def test_a_window_stops_at_the_end_of_its_episode():
    drawn = filled(3, 16, 10, ends=(4,)).sample(400, numpy_rng(0, "ends"))
    first, after = drawn.states[0, :, 0], drawn.next_states[0, :, 0]
    assert (after[first == 4] == 5).all() and (after[first == 3] == 5).all() and (after[first == 2] == 5).all()
    assert (after[first == 5] == 8).all()


def test_an_n_longer_than_the_episode_is_the_episode():
    memory = filled(20, 32, 25, ends=range(2, 25, 3))
    drawn = memory.sample(50, numpy_rng(0, "long"))
    left = 3 - drawn.states[0, :, 0] % 3  # steps left in an episode of three
    torch.testing.assert_close(drawn.discount[0], 0.5**left)


def test_windows_settle_at_the_best_values_when_the_memory_is_the_best_policys_and_elsewhere_when_it_is_not():
    mdp, _ = catch(5, 3, wind=0.3)
    values, best = value_iteration(mdp.P, mdp.R, 0.9)
    wanted = q_from_v(mdp.P, mdp.R, values, 0.9)
    uniform = np.full(best.shape, 1 / 3)
    np.testing.assert_allclose(uncorrected(mdp, 0.9, 1, uniform)[0], wanted, atol=1e-4)  # one step: whoever played
    q, sweeps = uncorrected(mdp, 0.9, 3, best)
    np.testing.assert_allclose(q, wanted, atol=1e-4)
    assert sweeps < uncorrected(mdp, 0.9, 1, best)[1]
    assert (uncorrected(mdp, 0.9, 3, uniform)[0] <= wanted + 1e-4).all()
    assert wanted[0].max() - uncorrected(mdp, 0.9, 3, uniform)[0][0].max() > 0.05


def test_bad_input_is_named():
    ones, no = torch.ones(3), torch.zeros(3, dtype=torch.bool)
    for call, says in [
        (lambda: fold(ones, no[:2], no, 0.9), "one shape"),
        (lambda: fold(torch.ones(0), no[:0], no[:0], 0.9), "n of 1 or more"),
        (lambda: fold(ones, no, no, 1.1), r"gamma must lie in \[0, 1\], got 1.1"),
        (lambda: fold(ones, no.float(), no, 0.9), "True or False, got torch.float32"),
        (lambda: Windows(8, 1, 1, 0, 0.9), "n must lie between 1 and the capacity, 8, got 0"),
        (lambda: Windows(8, 1, 1, 9, 0.9), "got 9"),
        (lambda: uncorrected(catch(3, 2)[0], 1.0, 3, None), r"gamma in \[0, 1\), got 3 and 1.0"),
        (lambda: filled(3, 8, 2).sample(1, numpy_rng(0)), "a window needs 3 steps"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()
