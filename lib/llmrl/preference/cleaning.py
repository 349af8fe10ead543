"""Cleaning of preference pairs: what can be seen from the words alone.

A row teaches nothing if a side is empty or both sides say the same; it teaches the same again if it repeats an earlier
row, word for word or nearly; and two rows that contradict each other cannot both be right, so both go. Nearly means:
the pairs of neighbouring words that two texts share, over all pairs they have. Left out: hashing, which finds near
repetitions among millions of rows without comparing each with each.
"""

import re

SIDES = ("chosen", "rejected")


def words(text):
    """The words of a text, small letters, without what stands around them."""
    return re.findall(r"\w+", text.lower())


def shingles(text):
    """The pairs of neighbouring words of a text; of a single word, the word."""
    found = words(text)
    return set(zip(found, found[1:])) or set(found)


def overlap(a, b):
    """The shingles two texts share over all they have together: 1 for the same words in the same order, 0 for none."""
    a, b = shingles(a), shingles(b)
    return len(a & b) / len(a | b) if a | b else 1.0


def empty_sides(rows):
    """Rows with a side that has no words."""
    return [i for i, row in enumerate(rows) if not all(words(row[side]) for side in SIDES)]


def identical_sides(rows):
    """Rows whose two sides are the same words."""
    return [i for i, row in enumerate(rows) if words(row["chosen"]) == words(row["rejected"])]


def repeated(rows, near=1.0):
    """Rows of which an earlier one shares at least the part `near` of the shingles of each side.  -> {row: earlier}"""
    if not 0 < near <= 1:
        raise ValueError(f"near must be above 0 and at most 1, got {near}: 1 finds rows of the same words only")
    known, prompts = [[shingles(row[side]) for side in SIDES] for row in rows], [words(row["prompt"]) for row in rows]
    found = {}
    for i, mine in enumerate(known):
        for j in range(i):
            if j not in found and prompts[i] == prompts[j] and _near(mine, known[j], near):
                found[i] = j
                break
    return found


def contradicting(rows):
    """Pairs of rows that prefer the same two answers to the same prompt in opposite order.  -> [(earlier, later)]"""
    seen, found = {}, []
    for i, row in enumerate(rows):
        prompt, chosen, rejected = (" ".join(words(row[name])) for name in ("prompt", *SIDES))
        found += [(j, i) for j in seen.get((prompt, rejected, chosen), ())]
        seen.setdefault((prompt, chosen, rejected), []).append(i)
    return found


def cleaned(rows, near=1.0):
    """The rows worth learning from, and the numbers of those that went, by reason.  -> rows, {reason: [row]}"""
    reasons = {
        "an empty side": empty_sides(rows),
        "both sides the same": identical_sides(rows),
        "contradicts another": sorted({i for two in contradicting(rows) for i in two}),
        "repeats an earlier row": sorted(repeated(rows, near)),
    }
    gone, dropped = set(), {}
    for reason, found in reasons.items():  # a row is counted once, under the first reason
        dropped[reason] = [i for i in found if i not in gone]
        gone |= set(found)
    return [row for i, row in enumerate(rows) if i not in gone], dropped


def _near(mine, other, near):
    return all(len(a & b) >= near * len(a | b) for a, b in zip(mine, other))
