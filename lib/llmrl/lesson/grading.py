"""Grading: one line for the learner, whatever the function does.

A stub is not attempted, a wrong answer gets one sentence that teaches, a right one is remembered. Nothing is raised, so
"Run all" runs all, and the line is the same on every machine. Left out: points.
"""

from dataclasses import dataclass

from llmrl.lesson import progress
from llmrl.lesson.attempt import SECONDS, Attempt, Mistaken, NotAttempted, TimeUp, within
from llmrl.lesson.exercise import find
from llmrl.lesson.feedback import recognised

MARKS = {"right": "✓", "wrong": "✗", "stub": "○"}


@dataclass(frozen=True)
class Verdict:
    """How an answer fared: right, wrong or stub, and the sentence that says so."""

    kind: str
    sentence: str

    def __str__(self):
        return f"{MARKS[self.kind]} {self.sentence}"


def grade(name, function, seconds=SECONDS):
    """Check the learner's function and print one line: right, wrong and why, or not attempted yet."""
    exercise = find(name)
    if not callable(function):
        kind = type(function).__name__
        raise TypeError(f"grade() takes the function itself, got {kind}: grade({name!r}, f), not grade({name!r}, f(x))")
    verdict = judge(exercise, function, seconds)
    print(verdict)
    if verdict.kind == "right" and (note := progress.record(name)):
        print(note)


def judge(exercise, function, seconds=SECONDS):
    """The verdict on a function, without printing or remembering it."""
    try:
        with within(seconds):
            problem = _first_problem(exercise, function)
    except NotAttempted:
        return Verdict("stub", f"not attempted yet: {exercise.name}. Write the function and run this cell again.")
    except TimeUp:
        problem = f"still running after {seconds:g} seconds, where a moment is enough: is there a loop that never ends?"
    except Mistaken as mistake:
        problem = str(mistake)
    if problem:
        return Verdict("wrong", f"{exercise.name}: {problem}")
    return Verdict("right", f"{exercise.name}: {exercise.title}")


def _first_problem(exercise, function):
    """The first sentence the checker has for this function, None when it has none."""
    answer, solution = (Attempt(f, exercise.signature) for f in (function, exercise.solve()))
    try:
        problem = next((sentence for sentence in exercise.checker(answer, solution) if sentence), None)
        lesson = problem and recognised(answer, exercise.wrong)
    except (NotAttempted, Mistaken):
        raise
    except Exception as error:  # the checker met something it cannot compare
        kind = type(error).__name__
        raise Mistaken(f"what your function returns does not fit {exercise.signature} ({kind})") from error
    return f"{problem}: {lesson}" if lesson else problem
