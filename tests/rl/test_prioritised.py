"""The sum tree against plain sums, sampling against its probabilities, weights by exact enumeration."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.rl.prioritised import SumTree, importance, priority
from llmrl.seeds import numpy_rng


def tree_of(*rows):
    tree = SumTree(len(rows[0]), len(rows))
    tree.set(np.tile(np.arange(len(rows[0])), (len(rows), 1)), np.array(rows, dtype=float))
    return tree


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=40).filter(any), st.floats(0, 0.999999))
def test_find_is_the_search_in_the_cumulative_sum(values, share):
    tree, mass = tree_of(values), share * sum(values)
    found = tree.find(np.array([[mass]]))[0, 0]
    assert found == np.searchsorted(np.cumsum(values), mass, side="right")
    assert values[found] > 0


def test_every_node_is_the_sum_of_its_children_after_any_changes():
    tree, random = SumTree(13, 3), numpy_rng(0, "tree")
    for _ in range(50):
        tree.set(random.integers(13, size=(3, 5)), random.random((3, 5)))  # with leaves that come twice
    inner = np.arange(1, tree.width)
    np.testing.assert_allclose(tree.nodes[:, inner], tree.nodes[:, 2 * inner] + tree.nodes[:, 2 * inner + 1])
    np.testing.assert_allclose(tree.total()[:, 0], tree.nodes[:, tree.width :].sum(1))


def test_trees_side_by_side_know_nothing_of_each_other():
    both, one = tree_of([1, 2, 3], [5, 0, 1]), tree_of([5, 0, 1])
    both.set(np.array([[0], [0]]), np.array([[9.0], [5.0]]))
    np.testing.assert_array_equal(both.nodes[1], one.nodes[0])


def test_frequencies_follow_the_priorities_and_stratified_draws_cover_them_evenly():
    values = np.array([1.0, 4.0, 0.0, 2.0, 3.0])
    leaves, chances = tree_of(values).sample(10_000, numpy_rng(0, "draws"))
    counts = np.bincount(leaves[0], minlength=5)
    assert np.abs(counts - 10_000 * values / 10).max() <= 2  # one draw per stratum: off at the borders alone
    np.testing.assert_allclose(chances, values[leaves] / 10)


def test_rounding_never_draws_what_has_no_priority():
    tree = tree_of([0.1] * 7 + [0.0])
    assert tree.find(tree.total())[0, 0] == 6


def test_weights_undo_the_preference_exactly():
    values, p = np.array([3.0, -1.0, 10.0, 0.5]), np.array([0.1, 0.2, 0.3, 0.4])
    mean = (p * (1 / (4 * p)) * values).sum()  # the expectation over which one is drawn
    assert mean == pytest.approx(values.mean())
    weights = importance(p, 4, beta=1.0)
    assert (p * weights * values).sum() / (p * weights).sum() == pytest.approx(values.mean())
    np.testing.assert_allclose(importance(p, 4, 0.0), 1.0)  # beta 0 corrects nothing
    half = importance(p, 4, 0.5)
    assert half.max() == 1.0 and (p * half * values).sum() / (p * half).sum() != pytest.approx(values.mean())


def test_alpha_zero_is_a_uniform_replay_and_one_is_proportional():
    errors = np.array([-3.0, 0.0, 1.0])
    np.testing.assert_allclose(priority(errors, 0.0), 1.0)
    np.testing.assert_allclose(priority(errors, 1.0, eps=1e-9), [3, 0, 1], atol=1e-8)


def test_bad_input_is_named():
    for call, says in [
        (lambda: SumTree(0), "one or more leaves"),
        (lambda: SumTree(4).set(np.array([[4]]), np.array([[1.0]])), "leaves go from 0 to 3"),
        (lambda: SumTree(4).set(np.array([[1]]), np.array([[-1.0]])), "finite and 0 or more, got -1"),
        (lambda: SumTree(4).set(np.array([[1]]), np.array([[np.nan]])), "finite and 0 or more"),
        (lambda: SumTree(4).sample(2, numpy_rng(0)), "nothing to draw from"),
        (lambda: priority(np.ones(2), alpha=-1), "alpha must be 0 or more"),
        (lambda: priority(np.ones(2), eps=0), "eps above 0"),
        (lambda: importance(np.ones(2), 2, 1.5), r"beta must lie in \[0, 1\], got 1.5"),
    ]:
        with pytest.raises(ValueError, match=says):
            call()
