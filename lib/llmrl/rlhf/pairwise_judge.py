r"""A judge that reads both answers in one text and says how likely the first is better.

A reward model scores each answer alone, so the order in which two are shown cannot matter to it. A judge that reads
both can prefer a place: it learns that from annotators who do. Asked twice, with the answers swapped, it shows how
much; half the difference of the two logits is a verdict that no order can change (Zheng et al. 2023, arXiv:2306.05685).
Left out: judges that give their reasons in words.

Shapes: B or N comparisons, T positions.
"""

import random

import torch

from llmrl import seeds
from llmrl.lm.training import Plan
from llmrl.lm.training import train as fit
from llmrl.rlhf.calibration import chance
from llmrl.rlhf.reward_model import bradley_terry, padded
from llmrl.seeds import derive
from llmrl.toy import preferences
from llmrl.tuning import chat


def shown(n, seed, place=0.0, temperature=0.5):
    r"""n comparisons {prompt, first, second, gap, won}: the first wins by $\sigma(g/\tau+b)$, b pulls to the first"""
    pick, rows = random.Random(derive(seed, "shown")), []
    for row in preferences.pairs(n, f"{seed} shown"):
        sides = [("chosen", "rejected"), ("rejected", "chosen")][pick.random() < 0.5]
        gap = row[f"gold_{sides[0]}"] - row[f"gold_{sides[1]}"]
        won = pick.random() < chance(torch.tensor(gap + place * temperature), temperature).item()
        rows.append({"prompt": row["prompt"], "first": row[sides[0]], "second": row[sides[1]], "gap": gap, "won": won})
    return rows


def swapped(rows):
    """The same comparisons with the answers in the other order: the same answer won."""
    return [row | {"first": row["second"], "second": row["first"], "gap": -row["gap"], "won": not row["won"]}
            for row in rows]  # fmt: skip


def comparison(row):
    """A comparison as one conversation: the question, one answer, the other.  -> ids"""
    said = [{"role": "assistant", "content": row[side]} for side in ("first", "second")]
    return chat.render([{"role": "user", "content": row["prompt"]}, *said])[0]


def loss(model, ids, mask, won):
    r"""$-\log\sigma(\pm s)$: the score is the log odds that the first is better.  ids, mask (B, T), won (B,) bool"""
    score = model(ids, mask)
    return bradley_terry(torch.where(won, score, -score)).mean()


def train(model, rows, plan=Plan(steps=64, lr=1e-3, warmup=5), batch=32, seed=0):
    """Teach a reward model to judge comparisons; yields the records of lm.training.train."""
    if not rows:
        raise ValueError("there are no comparisons to learn from: give one row or more, as shown(n, seed) makes them")
    ids, won = [comparison(row) for row in rows], torch.tensor([row["won"] for row in rows])
    fits = [i for i, row in enumerate(ids) if len(row) <= model.lm.config.context]

    def at(step):
        drawn = torch.randint(len(fits), (batch,), generator=seeds.rng(seed, "judge", step)).tolist()
        return *padded([ids[fits[i]] for i in drawn]), won[[fits[i] for i in drawn]]

    yield from fit(model, at, plan, loss=loss)


def both_orders(model, rows):
    """Log odds that row["first"] is better, asked as shown and with the answers swapped.  -> two of (N,)"""
    as_shown, other = (model.score([comparison(row) for row in order]) for order in (rows, swapped(rows)))
    return as_shown, -other


def place_pull(as_shown, other):
    """How many logits the first place is worth to a judge: half the difference of the two orders, on average."""
    return ((as_shown - other) / 2).mean()


def consistency(as_shown, other):
    """The share of comparisons in which the same answer wins in both orders."""
    return ((as_shown > 0) == (other > 0)).float().mean()
