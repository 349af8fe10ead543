"""Every rule accepts a notebook that keeps it and names what is wrong with one that does not."""

import ast

import pages
import pytest

from llmrl.course import copies, rules, stored
from llmrl.course.sections import tree

LIBRARY_SOURCE = '''
def gae(rewards, values, gamma: float, lam):
    """The recursion."""
    adv = 0.0
    for reward, value in zip(rewards, values):
        adv = reward - value + gamma * lam * adv
    return adv

def tiny(x):
    return x + 1
'''


def library():
    functions = copies.functions(ast.parse(LIBRARY_SOURCE))
    named = {node.name: f"policy.advantages.{node.name}" for node in functions}
    return copies.Library(named, {copies.shape(node): named[node.name] for node in functions})


RULES = {
    "executed_in_order": rules.executed_in_order,
    "no_errors": rules.no_errors,
    "no_stderr": rules.no_stderr,
    "nothing_of_this_machine": rules.nothing_of_this_machine,
    "figures_described": rules.figures_described,
    "cells_short": rules.cells_short,
    "words_between": rules.words_between,
    "starts_with": lambda nb: rules.starts_with(nb, pages.STAMP + "\n"),
    "concepts_known": lambda nb: rules.concepts_known(nb, {"a.idea"}),
    "concepts_whole": rules.concepts_whole,
    "library_not_copied": lambda nb: rules.library_not_copied(nb, library()),
    "is_python": rules.is_python,
    "exercises": rules.exercises,
    "stubs_take_no_name": rules.stubs_take_no_name,
    "solutions_come_after": lambda nb: rules.solutions_come_after(nb, {"a.double": "llmrl.numbers.double"}),
    "outputs_compared": rules.outputs_compared,
    "in_its_one_form": lambda nb: rules.in_its_one_form(nb, stored.text(nb)),
}


@pytest.mark.parametrize("rule", RULES)
def test_a_good_notebook_keeps_every_rule(rule):
    assert list(RULES[rule](pages.good())) == []


def with_cell(place, **changes):
    def change(notebook):
        notebook["cells"][place].update(changes)
        return notebook

    return change


def without(*places):
    def change(notebook):
        notebook["cells"] = [cell for place, cell in enumerate(notebook["cells"]) if place not in places]
        return notebook

    return change


def with_output(place, output, **metadata):
    def change(notebook):
        notebook["cells"][place]["outputs"] = [output]
        notebook["cells"][place]["metadata"].update(metadata)
        return notebook

    return change


RENAMED = """
def advantage(r, v, g, l):
    a = 0.0
    for x, y in zip(r, v):
        a = x - y + g * l * a
    return a
"""
METHOD = "class A:\n    def f(self):\n        pass\n" + RENAMED
HTML = {"output_type": "display_data", "metadata": {}, "data": {"text/html": "<pre>/home/ann/llmrl/x.py</pre>"}}
ADDRESS = pages.said("<function f at 0x7f3a5c0d1e40>")

BROKEN = {
    "a cell that was not run": ("executed_in_order", with_cell(4, execution_count=None), "None"),
    "cells run out of order": ("executed_in_order", with_cell(4, execution_count=9), "9"),
    "a notebook run in two goes": ("executed_in_order", with_cell(1, execution_count=7), "7"),
    "an empty code cell": ("executed_in_order", with_cell(8, source=" \n"), "cell 8: an empty"),
    "an error": ("no_errors", with_output(4, pages.failed()), "cell 4: ends in ValueError"),
    "a warning": ("no_stderr", with_output(3, pages.said("Warning: x", "stderr")), "cell 3: printed to stderr: Warn"),
    "a path in what was printed": ("nothing_of_this_machine", with_output(3, pages.said("/home/ann/x")), "/home/ann"),
    "a path on Windows": ("nothing_of_this_machine", with_output(3, pages.said(r"C:\Users\ann")), "C:"),
    "a path on a Mac": ("nothing_of_this_machine", with_output(3, pages.said("'/private/tmp'")), "/private/tmp"),
    "a path in HTML": ("nothing_of_this_machine", with_output(3, HTML), "/home/ann"),
    "an address": ("nothing_of_this_machine", with_output(3, ADDRESS), "at 0x7f3a"),
    "a figure without words": ("figures_described", with_output(3, pages.drawn(alt=None)), "None"),
    "a figure with one word": ("figures_described", with_output(3, pages.drawn(alt="a plot")), "'a plot'"),
    "a figure with blanks": ("figures_described", with_output(3, pages.drawn(alt=" " * 40)), "alt text"),
    "a drawing without words": ("figures_described", with_output(3, pages.drawn(None, "image/svg+xml", "")), "svg"),
    "a long cell": ("cells_short", with_cell(3, source="x = 1\n\n" * 21), "cell 3: 21 lines"),
    "three code cells in a row": ("words_between", without(2), "cell 3: 3 code cells"),
    "another first cell": ("starts_with", with_cell(1, source="import llmrl"), "stamp"),
    "no code at all": ("starts_with", without(1, 3, 4, 6, 8), "stamp"),
    "a concept nobody knows": ("concepts_known", with_cell(2, metadata={"concepts": ["a.other"]}), "'a.other'"),
    "a concept opened twice": ("concepts_known", with_cell(5, metadata={"concepts": ["a.idea"]}), "2 times"),
    "a concept without check": ("concepts_whole", without(4), "concept a.idea: no executed check"),
    "a check that was not run": ("concepts_whole", with_cell(4, execution_count=None), "no executed check"),
    "a check that failed": ("concepts_whole", with_output(4, pages.failed()), "no executed check"),
    "a check in a comment": ("concepts_whole", with_cell(4, source="# check.that('x', True)"), "no executed check"),
    "a check in a string": ("concepts_whole", with_cell(4, source="'check.that(1)'"), "no executed check"),
    "a concept without figure": ("concepts_whole", without(3), "no computed figure"),
    "a figure after the next concept": ("concepts_whole", with_cell(3, metadata={"concepts": ["b"]}), "a.idea: no "),
    "a copy of a library function": ("library_not_copied", with_cell(3, source=LIBRARY_SOURCE), "advantages.gae"),
    "a renamed copy": ("library_not_copied", with_cell(3, source=RENAMED), "advantage() is a copy of"),
    "a copy beside a class": ("library_not_copied", with_cell(3, source=METHOD), "advantage() is a copy of"),
    "a copy in an exercise": ("library_not_copied", with_cell(6, source=RENAMED), "advantage() is a copy of"),
    "the library's name": ("library_not_copied", with_cell(3, source="def gae(x):\n    return x"), "has the name of"),
    "a cell that is not Python": ("is_python", with_cell(3, source="for x in"), "cell 3: not Python"),
    "one exercise": ("exercises", without(8), "1 exercises"),
    "a stub that hides an import": (
        "stubs_take_no_name",
        with_cell(4, source="from llmrl.numbers import double\n"),
        "cell 6: the stub double() hides",
    ),
    "a solution before its exercise": (
        "solutions_come_after",
        lambda nb: with_cell(3, source="show(numbers.double, x)")(with_cell(6, source="grade('a.double', f)")(nb)),
        "cell 6: double() was shown",
    ),
    "a check nobody compares": (
        "outputs_compared",
        with_cell(4, metadata={"tags": ["nbval-ignore-output"]}),
        "cell 4: its checks",
    ),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_broken_notebook_is_refused(what):
    rule, change, words = BROKEN[what]
    problems = list(RULES[rule](change(pages.good())))
    assert problems, f"{rule} accepted {what}"
    assert words in "\n".join(problems)


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        ("no_errors", with_output(4, pages.failed(), tags=["raises-exception"])),
        ("is_python", with_cell(3, source="%time x = 1\n!ls")),
        ("is_python", with_cell(3, source="for x in", metadata={"tags": ["raises-exception"]})),
        ("cells_short", with_cell(3, source="x = 1\n\n" * 20)),
        ("library_not_copied", with_cell(6, source="def gae(rewards):\n    ...")),
        ("library_not_copied", with_cell(3, source="def plus_one(y):\n    return y + 1")),
        (
            "solutions_come_after",
            lambda nb: with_cell(8, source="show(double)")(with_cell(6, source="grade('a.double', f)")(nb)),
        ),
        ("nothing_of_this_machine", with_output(3, pages.said("see tmp/x and a/tmp/y, or http://x.org/home/z"))),
        ("outputs_compared", with_cell(3, metadata={"tags": ["nbval-ignore-output"]})),
    ],
)
def test_what_is_allowed_is_not_refused(rule, change):
    assert list(RULES[rule](change(pages.good()))) == []


def test_a_file_with_timestamps_is_not_in_its_one_form():
    notebook = pages.good()
    text = stored.text(notebook).replace('"metadata": {}', '"metadata": {"execution": {}}', 1)
    assert "llmrl run" in " ".join(rules.in_its_one_form(notebook, text))


def test_a_long_copy_with_changed_words_of_other_functions_is_another_function():
    other = RENAMED.replace("x - y", "x + y")
    assert list(RULES["library_not_copied"](with_cell(3, source=other)(pages.good()))) == []


def test_the_tree_of_a_magic_cell_is_found():
    assert tree({"source": "%matplotlib inline\nx = 1"}).body
