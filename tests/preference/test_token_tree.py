"""A distribution over answers and the choices of a tree are one thing said twice."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.preference import exact
from llmrl.preference.bradley_terry import win_probability
from llmrl.preference.token_tree import Tree
from llmrl.seeds import rng

ANSWERS = [[1, 2, 9], [1, 3, 9], [4, 9], [1, 2, 5, 9]]
spaces = st.sets(st.lists(st.integers(1, 3), max_size=4).map(tuple), min_size=1, max_size=8)


def numbers(n, *purpose):
    return torch.randn(n, generator=rng(0, *purpose), dtype=torch.float64)


def test_by_hand():
    tree = Tree([[1, 9], [2, 9], [2, 3, 9]])
    assert tree.beginnings == [(1,), (1, 9), (2,), (2, 9), (2, 3), (2, 3, 9)]
    assert tree.parent.tolist() == [6, 0, 6, 2, 2, 4] and tree.path.tolist() == [[0, 1, 6], [2, 3, 6], [2, 4, 5]]
    logp = tree.token_logp(torch.tensor([0.5, 0.3, 0.2]).double().log())
    torch.testing.assert_close(logp.exp(), torch.tensor([0.5, 1.0, 0.5, 0.6, 0.4, 1.0]).double())


@given(spaces, st.integers(0, 20))
@settings(max_examples=12, deadline=None)
def test_choices_and_answers_there_and_back(space, seed):
    tree = Tree([[*answer, 0] for answer in sorted(space)])
    logp = numbers(len(space), seed).log_softmax(-1)
    torch.testing.assert_close(tree.answer_logp(tree.token_logp(logp)), logp)
    scores = numbers(len(tree.parent), seed, "scores")
    assert tree.answer_logp(scores).exp().sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(tree.answer_logp(scores), tree.answer_logp(tree.token_logp(tree.answer_logp(scores))))


def test_the_best_choice_looks_ahead_to_every_end():
    tree, beta = Tree(ANSWERS), 0.5
    ref, reward = numbers(4, "ref").log_softmax(-1), numbers(4, "reward")
    best = tree.token_logp(exact.gibbs(ref, reward, beta))
    value = tree.soft_value(ref, reward, beta)
    torch.testing.assert_close(best, tree.token_logp(ref) + (value[:-1] - value[tree.parent]) / beta)
    assert value[-1].item() == pytest.approx(beta * exact.log_partition(ref, reward, beta).item())
    ends = tree.path[[0, 1, 2, 3], [2, 2, 1, 3]]
    torch.testing.assert_close(value[ends], reward)
    fork = tree.beginnings.index((1, 2))  # goes on with 9 or 5; Bellman's equation there
    below = (tree.parent == fork).nonzero().flatten()
    assert len(below) == 2
    share = (tree.token_logp(ref)[below].exp() * (value[below] / beta).exp()).sum()
    torch.testing.assert_close(value[fork], beta * share.log())


def test_dpo_on_the_scores_of_a_tree_ends_at_gibbs():
    tree, ref, reward = Tree(ANSWERS), numbers(4, "ref").log_softmax(-1), numbers(4, "reward")
    wins, start = win_probability(reward), tree.token_logp(ref)
    steps = exact.climb(lambda s: -exact.dpo_loss(tree.answer_logp(s), ref, wins, 0.5), start, 250, 12.0)
    *_, last = steps
    torch.testing.assert_close(tree.answer_logp(last).exp(), exact.gibbs(ref, reward, 0.5).exp(), atol=1e-8, rtol=0)


def test_from_fork_to_fork():
    found = Tree([[1, 2, 9], [1, 3, 4, 9], [5, 9]]).stretches()
    assert found == [(8, 0, [1]), (8, 7, [5, 9]), (0, 2, [2, 9]), (0, 5, [3, 4, 9])]
    assert Tree([[1, 2, 9], [1, 3, 4, 9], [5, 9]]).layout() == {
        8: (0, 1.25),
        0: (1, 0.5),
        2: (2, 0),
        5: (2, 1),
        7: (1, 2),
    }
    assert Tree([[1, 2, 9]]).stretches() == [(3, 2, [1, 2, 9])]


@pytest.mark.parametrize("answers", [[], [[]], [[1, 2], [1, 2]], [[1], [1, 2]], [[1, 2], []]])
def test_answers_that_make_no_tree(answers):
    with pytest.raises(ValueError, match="none empty and none the beginning of another.*end each with a stop token"):
        Tree(answers)
