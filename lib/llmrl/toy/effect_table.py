"""The table of measured effects: one row per comparison, with its difference and the error of it.

A row says what was compared, both means, the mean difference over questions and its standard error, and the direction
theory gives. Left out: corrections for many comparisons; the rule asks for more than two standard errors everywhere.
"""

import json
from statistics import mean, stdev

from llmrl.toy import files

NAME = "effects.json"


def row(what, before, after, up=True):
    """One measured difference: two lists of numbers, question by question."""
    difference = [b - a for a, b in zip(before, after, strict=True)]
    return {"what": what, "before": mean(before), "after": mean(after), "difference": mean(difference),
            "error": stdev(difference) / len(difference) ** 0.5, "direction": "up" if up else "down"}  # fmt: skip


def holds(r):
    """Whether a row's difference has its sign and is larger than twice its standard error."""
    return (1 if r["direction"] == "up" else -1) * r["difference"] > 2 * r["error"]


def as_text(rows):
    lines = [f"{'effect':18} {'seed':>4} {'sec':>5}  {'before':>7} {'after':>7} {'diff':>7} {'± 2 se':>7}     what"]
    for r in rows:
        numbers = f"{r['before']:>7.3f} {r['after']:>7.3f} {r['difference']:>+7.3f} {2 * r['error']:>7.3f}"
        verdict = "holds" if holds(r) else "FAILS"
        lines.append(f"{r['effect']:18} {r['seed']:>4} {r['seconds']:>5.0f}  {numbers} {verdict} {r['what']}")
    return "\n".join(lines)


def store(rows, order):
    """Replace the rows of the effects just measured in the shipped table; the others stay.  order: names of effects"""
    new = {r["effect"] for r in rows}
    old = files.read_json(NAME) if NAME in files.names() else []
    rows = sorted([*rows, *(r for r in old if r["effect"] not in new)], key=lambda r: order.index(r["effect"]))
    files.ship(NAME, json.dumps(rows, indent=1) + "\n")
