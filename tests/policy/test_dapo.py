"""Groups that are worth learning from, and the price of length: by hand, at the edges, and in a run."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.policy import dapo, group
from llmrl.policy.dapo import mixed, overlong, shaped
from llmrl.toy import checkpoints


def test_the_price_of_length_by_hand():
    prices = overlong(torch.tensor([0, 12, 13, 14, 16, 17]), 16, 4)
    assert prices.tolist() == [0.0, 0.0, -0.25, -0.5, -1.0, -1.0]


@given(st.integers(1, 50), st.integers(0, 50))
def test_a_longer_answer_never_costs_less(buffer, more):
    limit = buffer + more
    prices = overlong(torch.arange(2 * limit), limit, buffer)
    assert (prices.diff() <= 1e-6).all() and prices.min() == -1 and prices[: more + 1].abs().max() == 0


@pytest.mark.parametrize("limit, buffer", [(8, 0), (8, 9), (8, -1)])
def test_a_buffer_that_does_not_fit(limit, buffer):
    with pytest.raises(ValueError, match="0 < buffer <= limit"):
        overlong(3, limit, buffer)


def test_a_judge_who_sees_the_length_too():
    prompts, judge = shaped(lambda step: ([[5]], lambda said: [[1.0, 0.0]]), 4, 2)(0)
    assert prompts == [[5]] and torch.as_tensor(judge([[[7] * 3, [7] * 9]])).tolist() == [[0.5, -1.0]]


def test_a_group_is_mixed_when_its_answers_differ():
    rewards = torch.tensor([[1.0, 1.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0], [-1.0, -1.0, -0.5]])
    assert mixed(rewards).tolist() == [False, False, True, True]


def test_batches_of_different_lengths_become_one():
    one = torch.tensor([[1, 2]]), torch.tensor([[False, True]]), torch.tensor([[-0.5]])
    two = torch.tensor([[3, 4, 5]]), torch.tensor([[False, True, True]]), torch.tensor([[-0.1, -0.2]])
    ids, mask, logp = dapo.joined([one, two])
    assert ids.tolist() == [[1, 2, 0], [3, 4, 5]]
    assert mask.tolist() == [[False, True, False], [False, True, True]]
    torch.testing.assert_close(logp, torch.tensor([[-0.5, 0.0], [-0.1, -0.2]]))


def sometimes(numbers):
    """An ask whose judge finds a difference in the second group of every odd round only; it keeps the rounds."""

    def ask(number):
        numbers.append(number)
        same = [[1.0] * 4] * 3
        return [[1, 5]] * 3, lambda said: [same[0], [0.0, *same[0][1:]], same[0]] if number % 2 else same

    return ask


PLAN = group.GroupPlan(steps=1, prompts=3, answers=4, max_new=5)


def test_it_asks_on_until_enough_groups_are_mixed():
    model, numbers = checkpoints.load("base"), []
    (ids, mask, logp), rewards, said = dapo.gather(model, sometimes(numbers), PLAN, 2, 0)
    assert numbers == list(range(16, 22))  # rounds of another step are never asked
    assert rewards.tolist() == [[0.0, 1.0, 1.0, 1.0]] * 3 and len(said) == 3
    assert ids.shape[0] == mask.shape[0] == logp.shape[0] == 12 and logp.shape[1] == ids.shape[1] - 1
    for row, told, answer in zip(ids, mask, (a for answers in said for a in answers)):
        assert row[told].tolist()[: len(answer)] == answer  # rows and answers belong together


def test_what_was_not_mixed_is_asked_in_vain_only_so_long():
    with pytest.raises(ValueError, match="none of 24 groups of 4 answers is mixed"):
        dapo.gather(checkpoints.load("base"), lambda step: ([[1]] * 3, lambda said: [[1.0] * 4] * 3), PLAN, 0, 0)


def test_training_takes_it_in_place_of_its_own():
    record = next(group.train(checkpoints.load("base"), sometimes([]), PLAN, gather=dapo.gather))
    assert record["reward"] == 0.75  # every group that was learned from has one answer out of four that failed
