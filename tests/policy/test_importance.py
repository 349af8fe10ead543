"""Importance weights, checked by going through everything that can happen."""

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy.importance import chi_square, ratio, trajectory_weights, unseen

OLD = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
NEW = torch.tensor([0.2, 0.2, 0.6], dtype=torch.float64)
PAYS = torch.tensor([1.0, -2.0, 5.0], dtype=torch.float64)


def every_episode(steps):
    """All sequences of actions, and how likely the old policy is to take each.  -> (T, N), (N,)"""
    actions = torch.tensor(list(product(range(3), repeat=steps))).T
    return actions, OLD[actions].prod(0)


def test_the_mean_weight_is_one_and_the_weighted_mean_is_the_new_policy_s():
    weights = ratio(NEW.log(), OLD.log())
    torch.testing.assert_close(OLD @ weights, torch.tensor(1.0).double())
    torch.testing.assert_close(OLD @ (weights * PAYS), NEW @ PAYS)
    assert abs(OLD @ (weights.log() * PAYS) - NEW @ PAYS) > 0.1  # the log-ratio is no weight


@pytest.mark.parametrize("steps", [1, 2, 5])
def test_the_variance_of_a_product_grows_like_a_power(steps):
    actions, chance = every_episode(steps)
    weights = trajectory_weights(NEW.log()[actions], OLD.log()[actions], torch.ones_like(actions, dtype=torch.bool))
    assert abs(chance @ weights - 1) < 1e-12
    assert abs(chance @ (weights - 1) ** 2 - ((1 + chi_square(NEW, OLD)) ** steps - 1)) < 1e-9


def test_dead_steps_do_not_count():
    logp, old_logp = torch.tensor([[-1.0, -2.0], [-3.0, torch.nan]]), torch.tensor([[-1.5, -1.0], [-2.0, -torch.inf]])
    live = torch.tensor([[True, True], [True, False]])
    torch.testing.assert_close(trajectory_weights(logp, old_logp, live), torch.tensor([0.5 - 1, -1.0]).exp())


def test_what_the_old_policy_never_does():
    old = torch.tensor([0.6, 0.4, 0.0]).double()
    weights = NEW[:2] / old[:2]
    torch.testing.assert_close(NEW @ PAYS - old[:2] @ (weights * PAYS[:2]), unseen(NEW, old, PAYS))
    assert chi_square(NEW, old) == torch.inf
    assert unseen(NEW, old, torch.tensor([1.0, 1.0, 0.0])) == 0  # nothing is paid for it, so nothing is lost
    assert torch.isfinite(chi_square(old, NEW))  # the other way round there is support
    with pytest.raises(ValueError, match="old_logp must be finite, got -inf: what the old policy could not do"):
        ratio(NEW.log(), old.log())


def test_a_column_beside_a_row_is_refused():
    with pytest.raises(ValueError, match=r"of the same actions, got \(3,\) and \(3, 1\)"):
        ratio(torch.zeros(3), torch.zeros(3, 1))


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.randoms(use_true_random=False))
def test_the_distance_is_zero_for_equals_and_above_it_else(numbers, random):
    chances = torch.tensor(numbers, dtype=torch.float64) / sum(numbers)
    others = chances[random.sample(range(len(chances)), len(chances))]
    assert abs(chi_square(chances, chances)) < 1e-9
    assert chi_square(chances, others) >= -1e-12
    kl = (chances * (chances / others).log()).sum()
    assert kl <= (1 + chi_square(chances, others)).log() + 1e-9  # the KL is below log(1 + chi^2)
