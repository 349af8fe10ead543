"""The lands after a change of everything: every fact redrawn, none as it was.

What a tuned model knows of the lands becomes wrong, and a tuning has to put 128 new facts in the place of the old ones.
How well that went is counted exactly. It is a small thing to ask in words and a large one in bits, so it shows how much
a method of tuning can take in. Left out: facts that stay as they were.
"""

import random
from math import log2

from llmrl.seeds import derive
from llmrl.toy.facts import KINDS, facts, question
from llmrl.toy.tasks import Item


def items(seed):
    """One item for each fact of each land, its answer another than the true one: 32 lands, 4 facts each."""
    pick, found = random.Random(derive(seed, "changed")), []
    for land, known in facts().items():
        for kind, values in KINDS.items():
            answer = pick.choice([value for value in values if value != known[kind]])
            found.append(Item("fact", question(land, kind), answer))
    return found


def bits():
    r"""$\log_2$ of the number of worlds that `items` may draw: what there is to learn, at most."""
    return len(facts()) * sum(log2(len(values) - 1) for values in KINDS.values())
