"""Exercises on the rules that judge answers.

A verifier is the smallest reward there is. Left out: anything that needs a model.
"""

import re

from llmrl.lesson.attempt import Mistaken
from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs

EMPTY = "an empty list has no last entry; where no number is written the answer is None, so ask first"


@exercise(
    "toy.last_number",
    title="Read the answer off a text",
    signature="last_number(text: str) -> int, or None where no number is written",
    solution="llmrl.toy.arithmetic.last_number",
    minutes=5,
    difficulty=1,
    hints=(
        "re.findall(r'\\d+', text) gives every run of digits, in order, as text.",
        "The answer stands at the end, behind the steps. Where the list is empty there is no answer: None.",
    ),
    wrong=(
        Wrong("the first number belongs to the steps; the answer is the last", lambda t: _number(t, 0)),
        Wrong(EMPTY, lambda t: int(re.findall(r"\d+", t)[-1])),
        Wrong("where no number is written the answer is None, not 0", lambda t: _number(t, -1) or 0),
        Wrong(
            "digits of different numbers were joined; a number ends where its digits end",
            lambda t: int("".join(re.findall(r"\d", t)) or 0) if re.search(r"\d", t) else None,
        ),
        Wrong("only the last digit was read; a number may have several", lambda t: _number(t[-1:], -1)),
        Wrong("a whole number is wanted, not its text", lambda t: (re.findall(r"\d+", t) or [None])[-1]),
    ),
)
def last_number(answer, solution):
    for text in ("132", "7+5=12, 4+8+1=13, so 132", "It is 45.", "I do not know.", "", "so 0", "12 and then 7 and 305"):
        yield differs(_explained(answer, text), solution(text), f"on {text!r}")


def _explained(answer, text):
    """The answer; where it stumbles over an empty list, with the sentence that belongs to it."""
    try:
        return answer(text)
    except Mistaken as mistake:
        empty = isinstance(mistake.__cause__, IndexError) and not re.search(r"\d", text)
        raise Mistaken(f"on {text!r}, {mistake}: {EMPTY}" if empty else str(mistake)) from mistake


def _number(text, place):
    numbers = re.findall(r"\d+", text)
    return int(numbers[place]) if numbers else None
