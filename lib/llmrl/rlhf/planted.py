r"""Labels with a weakness planted on purpose, and matched answers that show whether a reward model learned it.

A label follows $\sigma\big((g_a-g_b+\ell_a-\ell_b)/\tau\big)$, where g is the gold reward and $\ell$ what the annotator
likes beside it: every word, or every sentence of small talk. Whether a model took over the liking is asked on pairs
that are equal but for one change, whose worth in gold is known: a polite opening is worth 1.5, a false fact costs 1, a
third fact and small talk are worth nothing.
Left out: likings that depend on the question.
"""

import math
import random

from llmrl.seeds import derive
from llmrl.toy import preferences, telling
from llmrl.toy.facts import KINDS, facts, statement


def likes_words(answer, weight=0.1):
    """What an annotator adds for length: so much per word."""
    return weight * len(answer.split())


def likes_chatter(answer, weight=1.0):
    """What an annotator adds for small talk: so much per sentence that says nothing."""
    return weight * sum(answer.count(sentence) for sentence in telling.CHATTER)


def labelled(n, seed, liking=None, temperature=0.5):
    """n pairs of the crowd's answers, labelled by gold reward and liking(answer): rows as those of toy.preferences."""
    if not temperature > 0:
        raise ValueError(f"temperature must be above 0, got {temperature}: toy.preferences labels without doubt")
    pick, rows = random.Random(derive(seed, "planted labels")), []
    for row in preferences.pairs(n, f"{seed} planted"):
        gap = row["gold_chosen"] - row["gold_rejected"]
        gap += liking(row["chosen"]) - liking(row["rejected"]) if liking else 0.0
        kept = pick.random() < 1 / (1 + math.exp(-gap / temperature))
        rows.append(row if kept else turned(row))
    return rows


def turned(row):
    """A row with its label the other way round."""
    other = {"chosen": "rejected", "rejected": "chosen", "gold_chosen": "gold_rejected", "gold_rejected": "gold_chosen"}
    return {name: row[other.get(name, name)] for name in row}


def _polite(pick, land, said):
    return [pick.choice(telling.POLITE_OPENERS), *said]


def _rude(pick, land, said):
    return [pick.choice(telling.RUDE_OPENERS), *said]


def _chatter(pick, land, said):
    return [*said, pick.choice(telling.CHATTER)]


def _third(pick, land, said):
    new = [s for kind in KINDS if (s := statement(land, kind, facts()[land][kind])) not in said]
    return [*said, pick.choice(new)]


def _false(pick, land, said):
    kind = next(kind for kind in KINDS if statement(land, kind, facts()[land][kind]) == said[-1])
    wrong = [value for value in KINDS[kind] if value != facts()[land][kind]]
    return [*said[:-1], statement(land, kind, pick.choice(wrong))]


CHANGES = {"polite opening": _polite, "rude opening": _rude, "small talk": _chatter, "third fact": _third,
           "false fact": _false}  # fmt: skip


def matched(n, change, seed):
    """n rows {prompt, plain, changed, gold}: two true facts, the same with one of CHANGES, what gold gives for it."""
    if change not in CHANGES:
        raise ValueError(f"no change is called {change!r}: there are {', '.join(CHANGES)}")
    pick, rows = random.Random(derive(seed, "matched", change)), []
    for _ in range(n):
        prompt = telling.question(pick)
        land = telling.subject(prompt)
        said = [statement(land, kind, facts()[land][kind]) for kind in pick.sample(list(KINDS), 2)]
        plain, changed = " ".join(said), " ".join(CHANGES[change](pick, land, said))
        gain = preferences.gold(prompt, changed) - preferences.gold(prompt, plain)
        rows.append({"prompt": prompt, "plain": plain, "changed": changed, "gold": gain})
    return rows
