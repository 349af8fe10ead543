"""What an exercise is, and where exercises are found.

A subject folder keeps its exercises in exercises.py, or in a folder exercises/ with one module per lesson; whatever
Exercise such a module defines is found by its name. The decorated function is the checker: a generator that probes the
learner's answer beside the library's solution, case by case, and yields None when all is well or a sentence about what
is not. Every exercise brings the wrong answers people really give: a learner who gives one of them reads the sentence
that belongs to it, and a test runs them all.
Left out: any exercise. The kit knows no algorithm.

    @exercise("lm.rms_norm", title="Root mean square", signature="rms_norm(x: (..., D)) -> (..., D)",
              solution="llmrl.lm.layers.rms_norm", minutes=8, difficulty=1, hints=("...", "..."),
              wrong=(Wrong("the root of the sum; take the mean", lambda x: x / x.norm(dim=-1, keepdim=True)), ...))
    def rms_norm(answer, solution):
        x = torch.tensor([[3.0, 4.0]])
        yield differs(answer(x), solution(x), "on (3, 4)")
"""

import difflib
import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Wrong:
    """A wrong answer that people really give, and the sentence that tells them what happened."""

    says: str
    answer: Callable


@dataclass(frozen=True)
class Exercise:
    """One exercise: what to write, how long it takes, what helps, and how it is checked."""

    name: str  # subject.function, as grade() takes it
    title: str
    signature: str  # with shapes
    solution: str  # dotted name of the library's own function
    minutes: int
    difficulty: int  # 1, 2 or 3
    hints: tuple
    wrong: tuple
    checker: Callable

    def __post_init__(self):
        for rule, kept in [
            ("a name of the form subject.function", self.name.count(".") == 1 and all(self.name.split("."))),
            ("a title", bool(self.title)),
            ("a signature with shapes, f(x: (B, D)) -> (B,)", "->" in self.signature and "(" in self.signature),
            ("its solution in llmrl", self.solution.startswith("llmrl.")),
            ("a whole number of minutes, 1 or more", isinstance(self.minutes, int) and self.minutes >= 1),
            ("a difficulty of 1, 2 or 3", self.difficulty in (1, 2, 3)),
            ("two hints", isinstance(self.hints, tuple) and len(self.hints) == 2 and all(self.hints)),
            ("three or more different wrong answers", len({wrong.says for wrong in self.wrong}) >= 3),
        ]:
            if not kept:
                raise ValueError(f"exercise {self.name!r} needs {rule}: see the docstring of llmrl.lesson.exercise")

    def solve(self):
        """The library's own function."""
        module, _, function = self.solution.rpartition(".")
        return getattr(importlib.import_module(module), function)


def exercise(name, **about):
    """Turn a checker into the exercise it checks."""
    return lambda checker: Exercise(name=name, checker=checker, **about)


@cache
def exercises():
    """Every exercise of the course by its name, from the exercises of every subject."""
    import llmrl

    found = {}
    for package in pkgutil.iter_modules(llmrl.__path__, "llmrl."):
        name = f"{package.name}.exercises"
        if package.ispkg and importlib.util.find_spec(name):
            subject = importlib.import_module(name)
            add(found, subject)
            for lesson in pkgutil.iter_modules(getattr(subject, "__path__", ()), f"{name}."):
                add(found, importlib.import_module(lesson.name))
    return found


def add(found, module):
    """Add the exercises a module defines to those found so far."""
    for thing in vars(module).values():
        if isinstance(thing, Exercise) and found.setdefault(thing.name, thing) is not thing:
            raise ValueError(f"two exercises are called {thing.name!r}, one of them in {module.__name__}: rename one")


def find(name):
    """The exercise of that name."""
    known = exercises()
    if name not in known:
        near = difflib.get_close_matches(str(name), known, 3, 0.4) or list(known)[:8]
        raise ValueError(f"no exercise is called {name!r}: did you mean {' or '.join(map(repr, near)) or 'none yet'}?")
    return known[name]
