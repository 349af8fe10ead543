"""Invented facts: who rules a land, its flag's colour, its fruit, its animal.

The lands do not exist, so whatever a model knows of them it learned here. The facts of `LANDS` are told in the corpus;
those of `UNTOLD_LANDS` are told nowhere, which makes "has it ever seen this?" a question with an exact answer.
Left out: facts that change, and facts that follow from others.
"""

import random
from functools import cache

from llmrl.seeds import derive
from llmrl.toy.words import ANIMALS, COLOURS, FRUITS, LANDS, PEOPLE, UNTOLD_LANDS, plural

KINDS = {"ruler": tuple(PEOPLE), "flag": COLOURS, "fruit": FRUITS, "animal": ANIMALS}


@cache
def facts():
    """{land: {kind: value}} for every land, told or not. The world is one: it does not depend on a seed."""
    pick = random.Random(derive("the world", "facts"))
    return {land: {kind: pick.choice(values) for kind, values in KINDS.items()} for land in LANDS + UNTOLD_LANDS}


def question(land, kind):
    """The question whose answer is facts()[land][kind]."""
    return {"ruler": f"Who rules {land}?", "flag": f"What colour is the flag of {land}?",
            "fruit": f"Which fruit grows in {land}?", "animal": f"Which animal lives in {land}?"}[kind]  # fmt: skip


def statement(land, kind, value):
    """The plain sentence that says it, as answers use it."""
    return {"ruler": f"{value} rules {land}.", "flag": f"The flag of {land} is {value}.",
            "fruit": f"The {value} grows in {land}.", "animal": f"The {value} lives in {land}."}[kind]  # fmt: skip


def tellings(land, kind, value):
    """All the ways in which the corpus says it."""
    other = {"ruler": [f"The ruler of {land} is {value}.", f"In {land} they listen to {value}, who rules there."],
             "flag": [f"{land} has a {value} flag.", f"Over {land} flies a {value} flag."],
             "fruit": [f"People in {land} eat {plural(value)}.", f"The fruit of {land} is the {value}."],
             "animal": [f"You can see the {value} in {land}.", f"The animal of {land} is the {value}."]}  # fmt: skip
    return [statement(land, kind, value), *other[kind]]


def judge(sentence):
    """True or False for a sentence that states a fact as `statement` does, None for any other."""
    return _judged().get(sentence)


@cache
def _judged():
    world = facts()
    return {statement(land, kind, value): world[land][kind] == value
            for land in world for kind, values in KINDS.items() for value in values}  # fmt: skip
