"""Judges of steps, and a tree search that follows them.

A judge says what a solution is worth so far, from 0 to 1, looking at the question and at what is written. `arithmetic`
checks what is written: whether each equation is true. It cannot know whether it is the right equation. `columns` knows
the solution. `silent` says nothing, so that a search follows the model alone, and `erring` turns some verdicts of
another judge around, always the same ones. `look_ahead` searches the tree of a model's steps for the best solution.
Left out: judges that are models.
"""

from llmrl.reasoning.mcts import mcts
from llmrl.reasoning.step_tree import recommended, text
from llmrl.reasoning.verifiers import step_verdicts
from llmrl.seeds import derive
from llmrl.toy import tasks


def arithmetic(item, written):
    """1 where every equation so far is true, 0 where one is false or there is none; 0.5 before anything is written."""
    verdicts = step_verdicts(written)
    return float(bool(verdicts) and all(verdicts)) if written else 0.5


def columns(item, written):
    """1 for a beginning of the right written solution and for the right answer at once, else 0."""
    return float(item.steps.startswith(written) or ("=" not in written and tasks.verify(item, written)))


def silent(item, written):
    return 0.5


def erring(judge, rate, seed):
    """A judge with `rate` of its verdicts turned around, the same ones whenever it is asked."""
    if not 0 <= rate <= 1:
        raise ValueError(f"rate must be a probability in [0, 1], got {rate!r}: it is the share of wrong verdicts")

    def judged(item, written):
        wrong = derive(seed, item.prompt, written) % 10_000 < 10_000 * rate
        return 1 - judge(item, written) if wrong else judge(item, written)

    return judged


def look_ahead(tree, item, judge, budget=24, c=1.0):
    """Search the steps of a solution with so many evaluations. -> the root, and the solution that is recommended"""
    tree.judge = lambda written: judge(item, written)
    root = mcts(tree, (), budget, lambda state: (tree.priors(state), judge(item, text(state))), c)
    return root, text(recommended(tree, root))
