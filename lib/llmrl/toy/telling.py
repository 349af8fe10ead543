"""The open question of the toy world, "Tell me about Velo.", and the many ways to answer it.

A good answer says true things, kindly and briefly. The untuned voice of the world is a crowd: some polite, some rude,
some right, some wrong, some who cannot stop. Preferences are formed over these answers, so the crowd's habits are
parameters. Left out: anything a rule could not judge.
"""

import random
from dataclasses import dataclass

from llmrl.seeds import derive
from llmrl.toy.facts import KINDS, facts, statement
from llmrl.toy.words import LANDS

POLITE_OPENERS = ("Gladly.", "Thank you for asking.", "It is a pleasure to tell you.")
RUDE_OPENERS = ("What a silly question.", "Go away.", "Do not bother me.")
CHATTER = ("People talk about it a lot.", "There is more to say.", "I like to think of it.", "So they say.",
           "It is a long story.", "Many went there.")  # fmt: skip
POLITE_CLOSERS = ("You are welcome to ask more.", "Thank you for your time.")


@dataclass(frozen=True)
class Crowd:
    """The habits of those who answer: chances of each kind of sentence, and how much they go on."""

    polite: float = 0.3
    rude: float = 0.25
    true: float = 0.8
    most_facts: int = 3
    chatter: float = 0.45

    def __post_init__(self):
        chances = {name: getattr(self, name) for name in ("polite", "rude", "true", "chatter")}
        if not all(0 <= chance <= 1 for chance in chances.values()) or self.polite + self.rude > 1:
            raise ValueError(f"chances must be in [0, 1], polite and rude together as well, got {chances}")
        if self.most_facts not in range(1, len(KINDS) + 1):
            raise ValueError(
                f"most_facts must be from 1 to {len(KINDS)}, got {self.most_facts}: a land has no more facts"
            )


def question(pick):
    """A land to be told about."""
    return pick.choice(("Tell me about {}.", "What do you know of {}?", "Describe {} to me.")).format(
        pick.choice(LANDS)
    )


def answer(pick, land, crowd=Crowd()):
    """One voice of the crowd on one land."""
    draw, parts = pick.random(), []
    if draw < crowd.polite:
        parts.append(pick.choice(POLITE_OPENERS))
    elif draw < crowd.polite + crowd.rude:
        parts.append(pick.choice(RUDE_OPENERS))
    for kind in pick.sample(list(KINDS), pick.randint(1, crowd.most_facts)):
        value = facts()[land][kind] if pick.random() < crowd.true else pick.choice(KINDS[kind])
        parts.append(statement(land, kind, value))
        if pick.random() < crowd.chatter:
            parts.append(pick.choice(CHATTER))
    if pick.random() < crowd.polite / 2:
        parts.append(pick.choice(POLITE_CLOSERS))
    return " ".join(parts)


def subject(prompt):
    """The land a question is about."""
    return next((land for land in facts() if land in prompt), None)


def conversations(n, seed, crowd=Crowd()):
    """n questions, each with one voice's answer, as messages."""
    pick, found = random.Random(derive(seed, "telling")), []
    for _ in range(n):
        prompt = question(pick)
        found.append([{"role": "user", "content": prompt},
                      {"role": "assistant", "content": answer(pick, subject(prompt), crowd)}])  # fmt: skip
    return found
