"""Advantages within a group: by hand, their properties, TRL's formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from llmrl.policy.advantages import group_advantage

groups = hnp.arrays("float64", hnp.array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=6),
                    elements=st.floats(-10, 10))  # fmt: skip


def test_by_hand():
    found = group_advantage([[1.0, 0.0, 0.0, 0.0]], eps=0.0)  # mean 1/4, deviation 1/2 with three below
    torch.testing.assert_close(found, torch.tensor([[1.5, -0.5, -0.5, -0.5]]))
    torch.testing.assert_close(group_advantage([[3.0, 1.0]], scale=False), torch.tensor([[1.0, -1.0]]))


@given(groups)
def test_every_group_has_mean_zero_and_unit_deviation(rewards):
    rewards = torch.from_numpy(rewards)
    adv = group_advantage(rewards, eps=0.0 if (rewards.std(1) > 1e-3).all() else 1e-4)
    assert adv.shape == rewards.shape and adv.dtype == torch.float32 and adv.isfinite().all()
    assert adv.mean(1).abs().max() < 1e-5
    for row, reward in zip(adv, rewards):
        if reward.std() > 1e-3 and (rewards.std(1) > 1e-3).all():
            assert row.std() == pytest.approx(1.0, abs=1e-4)
        assert torch.equal(row[reward == reward.max()], row.max().expand(int((reward == reward.max()).sum())))


@given(groups, st.floats(-5, 5), st.floats(0.5, 4))
def test_neither_a_shift_nor_a_scale_of_the_rewards_matters(rewards, shift, factor):
    rewards = torch.from_numpy(rewards).round()
    moved = group_advantage(factor * rewards + shift, eps=1e-9)
    torch.testing.assert_close(moved, group_advantage(rewards, eps=1e-9), atol=1e-4, rtol=1e-4)


@given(st.floats(-1e6, 1e6), st.integers(2, 16))
def test_where_all_agree_there_is_nothing_to_learn(reward, G):
    assert group_advantage(torch.full((3, G), reward)).abs().max() < 1e-4  # the rounding of float32 would give up to 1


@given(groups)
def test_groups_do_not_see_each_other(rewards):
    alone = torch.cat([group_advantage(row[None]) for row in rewards])
    torch.testing.assert_close(group_advantage(rewards), alone)


@given(groups)
def test_it_is_trls_formula(rewards):
    rewards = torch.from_numpy(rewards)
    flat, G = rewards.flatten(), rewards.shape[1]
    mean = flat.view(-1, G).mean(dim=1).repeat_interleave(G)
    std = flat.view(-1, G).std(dim=1).repeat_interleave(G)
    theirs = ((flat - mean) / (std + 1e-4)).view(-1, G)
    torch.testing.assert_close(group_advantage(rewards), theirs.float(), atol=1e-5, rtol=1e-5)


def test_the_usual_mistakes_give_other_numbers():
    rewards = torch.tensor([[1.0, 2.0, 4.0], [10.0, 30.0, 10.0]])
    right = group_advantage(rewards)
    centred = rewards - rewards.mean(1, keepdim=True)
    for wrong in (
        (rewards - rewards.mean()) / rewards.std(),
        (rewards - rewards.mean(0)) / rewards.std(0),
        centred / rewards.std(1, correction=0, keepdim=True),
        centred / rewards.var(1, keepdim=True),
        centred,
    ):
        assert not torch.allclose(right, wrong, atol=0.01)


@pytest.mark.parametrize("rewards", [[], [1.0, 2.0], [[1.0], [2.0]], [[]], torch.zeros(2, 3, 4), 1.0])
def test_a_single_answer_has_nothing_to_be_compared_with(rewards):
    with pytest.raises(ValueError, match="2 or more answers, got .* nothing to be compared with"):
        group_advantage(rewards)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_reward_that_is_no_number_is_named(bad):
    with pytest.raises(ValueError, match=f"rewards must be finite, got {bad}"):
        group_advantage([[0.0, 1.0], [bad, 0.0]])
