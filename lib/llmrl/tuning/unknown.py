r"""Facts a model has seen, and facts it cannot have: the material for asking whether tuning teaches making things up.

The lands of the corpus were told many times; lands invented on the spot were told to nobody. Both kinds are split into
a part to tune on and a part to ask about, land by land, so that no asked land was ever in the tuning. New facts are
answered in one of two ways: with a value (drawn, for nothing is true of a land that does not exist), or with "I do not
know.". After Gekhman et al. 2024, arXiv:2405.05904. Left out: facts half known.
"""

import random
from typing import NamedTuple

from llmrl.seeds import derive
from llmrl.toy.facts import KINDS, facts, question
from llmrl.toy.words import LANDS, PEOPLE, UNTOLD_LANDS
from llmrl.tuning import chat
from llmrl.tuning.abstention import UNSURE

ARMS = ("known", "new facts", "do not know")


class Split(NamedTuple):
    """Names of lands: told in the corpus or invented, to tune on or to ask about."""

    known: list
    known_asked: list
    new: list
    new_asked: list


def invented(n, pick):
    """n names of lands that stand in no text: two syllables each, all different."""
    taken, found = {*LANDS, *UNTOLD_LANDS, *PEOPLE}, []
    if not 0 <= n <= 600:
        raise ValueError(f"there are names for 0 to 600 invented lands, got {n}: ask for fewer")
    while len(found) < n:
        name = "".join(map(pick.choice, ("BDFGHJKLMNPRSTVZ", "aeiou", "bdfgklmnprstvz", "aeiou")))
        if name not in taken:
            taken.add(name)
            found.append(name)
    return found


def split(seed, known=12, new=12, asked=24):
    """`known` told lands to tune on and the others to ask about; `new` invented ones and `asked` others."""
    if not 1 <= known < len(LANDS):
        raise ValueError(f"known must leave some of the {len(LANDS)} lands to ask about, got {known}: 12 is half")
    pick = random.Random(derive(seed, "lands"))
    lands, names = pick.sample(LANDS, len(LANDS)), invented(asked + new, pick)
    return Split(lands[:known], lands[known:], names[asked:], names[:asked])


def questions(lands):
    """(question, truth) of every kind for every land; None is the truth of what nobody told."""
    told = {land: facts()[land] for land in LANDS}
    return [(question(land, kind), told.get(land, {}).get(kind)) for land in lands for kind in KINDS]


def conversations(lands, arm, seed):
    """What an arm tunes on: the known lands' facts, and of the new lands nothing, drawn values or "I do not know."."""
    if arm not in ARMS:
        raise ValueError(f"no arm is called {arm!r}: there are {', '.join(ARMS)}")
    pick = random.Random(derive(seed, "new facts"))
    talks = [chat.exchange(*known) for known in questions(lands.known)]
    for land in lands.new if arm != "known" else ():
        for kind, values in KINDS.items():
            value = pick.choice(values)
            talks.append(chat.exchange(question(land, kind), value if arm == "new facts" else UNSURE))
    return talks
