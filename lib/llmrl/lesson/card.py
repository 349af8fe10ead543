"""The card above an exercise: what to write, how long it takes, and help that stays folded until it is wanted.

Left out: the solution itself. The card says which library function it is, and show() shows it to whoever asks.
"""

import html

from llmrl.lesson.display import PAPER, emit
from llmrl.lesson.exercise import find


def exercise_card(name):
    """Show an exercise: title, difficulty, minutes, signature with shapes, two folded hints, where the solution is."""
    exercise = find(name)
    emit({"text/html": _html(exercise), "text/plain": _text(exercise)})


def _facts(exercise):
    dots = "●" * exercise.difficulty + "○" * (3 - exercise.difficulty)
    return f"difficulty {dots} {exercise.difficulty} of 3 · about {exercise.minutes} minutes · {exercise.name}"


def _html(exercise):
    folded = [("Hint 1", exercise.hints[0]), ("Hint 2", exercise.hints[1]), ("Solution", _solution(exercise))]
    details = "".join(
        f'<details style="margin-top:4px"><summary>{label}</summary>'
        f'<div style="padding:2px 0 2px 18px">{html.escape(text)}</div></details>'
        for label, text in folded
    )
    signature = f'<pre style="{PAPER}margin:6px 0;white-space:pre-wrap">{html.escape(exercise.signature)}</pre>'
    box = f"{PAPER}border:1px solid #ccc;border-left:6px solid #0072B2;border-radius:4px;padding:8px 14px;margin:4px 0"
    return (
        f'<section style="{box}" aria-label="Exercise: {html.escape(exercise.title)}">'
        f'<div style="font-weight:bold;font-size:110%">Exercise: {html.escape(exercise.title)}</div>'
        f'<div style="color:#444">{html.escape(_facts(exercise))}</div>'
        f"{signature}{details}</section>"
    )


def _text(exercise):
    hints = [f"hint {number}: {hint}" for number, hint in enumerate(exercise.hints, 1)]
    lines = [f"Exercise: {exercise.title}", _facts(exercise), exercise.signature, *hints, _solution(exercise)]
    return "\n".join(lines)


def _solution(exercise):
    module, _, function = exercise.solution.rpartition(".")
    return f"the library's own function: from {module} import {function}; show({function})"
