"""Judges of steps by hand, and what a search makes of them."""

import pytest

from llmrl.reasoning.step_search import arithmetic, columns, erring, look_ahead, silent
from llmrl.reasoning.step_tree import StepTree
from llmrl.toy import checkpoints, tasks

ITEM = tasks.Item("add", "What is 47+85?", "132", "7+5=12, 4+8+1=13, so 132")


def test_judges_by_hand():
    said = {"": (0.5, 1), "7+5=12,": (1, 1), "7+5=12, 4+8=12,": (1, 0), "7+5=13,": (0, 0), "132": (0, 1), "122": (0, 0),
            "7+5=12, 4+8+1=13, so 132": (1, 1), "7+5=12, 4+8+1=13, so 133": (1, 0), "so 132": (0, 1)}  # fmt: skip
    for written, (by_truth, by_knowledge) in said.items():
        assert arithmetic(ITEM, written) == by_truth, written
        assert columns(ITEM, written) == by_knowledge, written
        assert silent(ITEM, written) == 0.5


def test_an_erring_judge_errs_as_often_as_it_says_and_always_alike():
    judge = erring(columns, 0.2, "seed")
    texts = [f"{n}+1={n + 1}," for n in range(2000)]
    first = [judge(ITEM, t) for t in texts]
    assert first == [judge(ITEM, t) for t in texts]
    assert sum(first) / 2000 == pytest.approx(0.2, abs=0.04)  # columns says 0 to all of them
    assert erring(columns, 0.0, 1)(ITEM, "132") == 1 and erring(columns, 1.0, 1)(ITEM, "132") == 0
    with pytest.raises(ValueError, match="rate must be a probability"):
        erring(columns, 1.2, 1)


def test_a_judge_leads_the_search_where_it_likes_to_go():
    tree = StepTree(checkpoints.load("reasoning_base"), ITEM.prompt)
    for wanted in (ITEM.steps, "132"):
        root, said = look_ahead(
            tree, ITEM, lambda item, written, wanted=wanted: float(wanted.startswith(written)), budget=30
        )
        assert said == wanted and root.N == 30
    with pytest.raises(ValueError, match="budget must be a whole number of at least 1, got 0"):
        look_ahead(tree, ITEM, silent, budget=0)
