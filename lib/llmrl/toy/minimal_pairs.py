"""Preference pairs whose two answers differ in one fact: the same sentences, one of them true on one side only.

Pairs of the crowd differ in almost every word; these differ in one, as answers to sums and proofs often do. Left out:
pairs that differ in manners alone.
"""

import random

from llmrl.seeds import derive
from llmrl.toy import telling
from llmrl.toy.facts import KINDS, facts, statement

TRUTHFUL = telling.Crowd(true=1.0)


def minimal_pair(pick):
    """A question, a true answer, and the same answer with one of its facts wrong."""
    prompt = telling.question(pick)
    land = telling.subject(prompt)
    chosen = telling.answer(pick, land, TRUTHFUL)
    told = [kind for kind in KINDS if statement(land, kind, facts()[land][kind]) in chosen]
    kind = pick.choice(told)  # the crowd states one fact at least
    true = facts()[land][kind]
    false = pick.choice([value for value in KINDS[kind] if value != true])
    rejected = chosen.replace(statement(land, kind, true), statement(land, kind, false))
    return {"prompt": prompt, "chosen": chosen, "rejected": rejected}


def minimal_pairs(n, seed):
    """n such rows."""
    pick = random.Random(derive(seed, "minimal pairs"))
    return [minimal_pair(pick) for _ in range(n)]
