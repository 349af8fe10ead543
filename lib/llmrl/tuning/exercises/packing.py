"""Exercises on packing texts into rows and on putting a batch together from parts.

Each checker probes what people get wrong: padding, a text of one token, the order of equal things, which of two numbers
divides. Left out: training on the rows, which the lesson does.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import batch
from llmrl.tuning import noise, packing


def _same(segments):
    return segments[:, :, None] == segments[:, None, :]


@exercise(
    "tuning.blocks",
    title="Who may look at whom in a row of several texts",
    signature="blocks(segments: (B, T)) -> (B, T, T) of bool, [b, q, k] True where the token at q may look at k",
    solution="llmrl.lm.batch.blocks",
    minutes=8,
    difficulty=1,
    hints=(
        "segments[:, :, None] and segments[:, None, :] have T in different places: compared, they give (B, T, T).",
        "The same text is half of the rule; the other is never to look ahead: .tril() keeps the lower triangle.",
    ),
    wrong=(
        Wrong("this is causal attention: texts read their neighbours", lambda s: torch.ones_like(_same(s)).tril()),
        Wrong("tokens look ahead within their own text; keep the lower triangle", lambda s: _same(s)),
        Wrong("this looks ahead only: the upper triangle was kept, not the lower one", lambda s: _same(s).triu()),
        Wrong("a token may look at itself, too: the diagonal belongs to the triangle", lambda s: _same(s).tril(-1)),
        Wrong(
            "padding has nobody to look at, and a softmax over nothing is nan; let it look at padding",
            lambda s: _same(s).tril() & (s > 0)[:, :, None],
        ),
        Wrong(
            "earlier texts are open to later ones; the numbers have to be equal",
            lambda s: (s[:, :, None] >= s[:, None, :]).tril(),
        ),
        Wrong("the mask is to be bool, not numbers", lambda s: _same(s).tril().long()),
        Wrong("rows of a batch differ, and the first one's mask was given to all", lambda s: _same(s[:1]).tril().expand(
            len(s), -1, -1)),
    ),
)  # fmt: skip
def blocks(answer, solution):
    padded = torch.tensor([[1, 2, 2, 0, 0]])
    yield differs(answer(padded), solution(padded), "on a row of two texts that ends in padding, segment 0")
    two = torch.tensor([[1, 1, 1, 2], [1, 2, 2, 3]])
    yield differs(answer(two), solution(two), "on two rows")


@exercise(
    "tuning.restart",
    title="Positions that start anew with every text",
    signature="restart(segments: (B, T)) -> (B, T), 0 at the first token of every text and one more at each next",
    solution="llmrl.lm.batch.restart",
    minutes=15,
    difficulty=2,
    hints=(
        "Where does a text begin? Where the number differs from the one before, and at the first place of the row.",
        "Put the index where a text begins, 0 elsewhere: cummax(dim=1).values carries it on. Subtract from the index.",
    ),
    wrong=(
        Wrong(
            "positions run on through the row; each text starts at 0",
            lambda s: torch.arange(s.shape[1]).expand(s.shape).clone(),
        ),
        Wrong("a text starts at 0, not at 1", lambda s: batch.restart(s) + 1),
        Wrong(
            "every text got its number times a constant; count its tokens from 0",
            lambda s: torch.arange(s.shape[1]) - (s - s[:, :1]) * s.eq(s[:, :1]).sum(1, keepdim=True),
        ),
        Wrong(
            "the second token of a text still has position 0: the count starts one too late",
            lambda s: (batch.restart(s) - 1).clamp(min=0),
        ),
        Wrong("rows differ, and the first one's positions were given to all", lambda s: batch.restart(s[:1]).expand(
            s.shape).clone()),
        Wrong("the last token of a text has 0: this counts from its end", lambda s: batch.restart(s.flip(1)).flip(1)),
        Wrong(
            "these are positions of every text with the same length; texts differ",
            lambda s: torch.arange(s.shape[1]).remainder(s[0].eq(s[0, 0]).sum()).expand(s.shape).clone(),
        ),
        Wrong("positions are whole numbers, torch.long", lambda s: batch.restart(s).float()),
    ),
)  # fmt: skip
def restart(answer, solution):
    one = torch.tensor([[1, 1, 1, 2, 2, 2]])
    yield differs(answer(one), solution(one), "on two texts of three tokens")
    three = torch.tensor([[1, 1, 2, 3, 3, 3, 3]])
    yield differs(answer(three), solution(three), "on texts of two, one and four tokens")
    two = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 2, 2, 2, 2, 3]])
    yield differs(answer(two), solution(two), "on two rows, the first with padding behind")


def _fit(lengths, room, order, choose):
    rows, left = [], []
    for i in order:
        fitting = [r for r in range(len(rows)) if left[r] >= lengths[i]]
        row = choose(fitting, left) if fitting else len(rows)
        if row == len(rows):
            rows, left = [*rows, []], [*left, room]
        rows[row].append(i)
        left[row] -= lengths[i]
    return rows


def _decreasing(lengths):
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])


@exercise(
    "tuning.best_fit",
    title="Best-fit decreasing",
    signature="best_fit(lengths: list of int, room: int) -> list of rows, each a list of indices into lengths",
    solution="llmrl.tuning.packing.best_fit",
    minutes=20,
    difficulty=2,
    hints=(
        "Go through the indices from the longest text to the shortest, equally long ones in their given order.",
        "Of the rows with room, take the one with the least room left; of equal ones the earliest. None: a new row.",
    ),
    wrong=(
        Wrong(
            "the texts were taken in the order given; the longest comes first",
            lambda n, room: _fit(n, room, range(len(n)), lambda rows, left: min(rows, key=lambda r: left[r])),
        ),
        Wrong(
            "the shortest came first, and the long ones found no row with room",
            lambda n, room: _fit(n, room, _decreasing(n)[::-1], lambda rows, left: min(rows, key=lambda r: left[r])),
        ),
        Wrong(
            "this takes the first row with room (first fit); best fit takes the one with the least room left",
            lambda n, room: _fit(n, room, _decreasing(n), lambda rows, left: rows[0]),
        ),
        Wrong(
            "this takes the emptiest row with room (worst fit); the fullest one is wanted",
            lambda n, room: _fit(n, room, _decreasing(n), lambda rows, left: max(rows, key=lambda r: left[r])),
        ),
        Wrong(
            "only the last row was looked at (next fit); an earlier one may still have room",
            lambda n, room: _fit(n, room, _decreasing(n), lambda rows, left: max(rows) if max(rows) == len(left) - 1
                                 else len(left)),
        ),
        Wrong(
            "a text that fills a row exactly fits: room left equal to its length is enough",
            lambda n, room: packing.best_fit([x + 1 for x in n], room + 1),
        ),
        Wrong(
            "rows hold indices into lengths, so that the texts can be found again, not the lengths themselves",
            lambda n, room: [[n[i] for i in row] for row in packing.best_fit(n, room)],
        ),
    ),
)  # fmt: skip
def best_fit(answer, solution):
    for lengths, room, case in [
        ([6, 7, 3, 2, 4], 10, "on five texts in rows of 10"),
        ([3, 4, 3, 2, 2], 7, "on texts of 3, 4, 3, 2, 2 tokens in rows of 7"),
        ([5, 5, 5, 5], 10, "on four texts that fill two rows exactly"),
        ([2, 9, 4, 1, 5, 3, 6], 11, "on seven texts in rows of 11"),
        ([8, 6, 4, 2], 10, "on lengths 8, 6, 4, 2 in rows of 10"),
        ([12, 10, 9, 1], 20, "on texts of 12, 10, 9 and 1 tokens in rows of 20"),
    ]:
        yield differs(answer(list(lengths), room), solution(lengths, room), case)


@exercise(
    "tuning.rank_scales",
    title="What each rank has to multiply its mean by",
    signature="rank_scales(counts: (k,) learned tokens of each rank) -> (k,), for gradients that are averaged after",
    solution="llmrl.tuning.accumulation.rank_scales",
    minutes=8,
    difficulty=2,
    hints=(
        "The batch's mean is the sum of n_i/N m_i, with N the sum of the n_i. What is averaged is 1/k times the sum.",
        "So each rank's factor is k n_i/N. With equal counts every factor is 1, and nothing changes.",
    ),
    wrong=(
        Wrong("without the number of ranks the average is k times too small", lambda n: n / n.sum()),
        Wrong("all ones is the mistake itself: it averages means", lambda n: torch.ones(len(n))),
        Wrong("the division is upside down: more tokens weigh more", lambda n: n.sum() / (len(n) * n)),
        Wrong("divide by the sum of all counts, not by the largest", lambda n: len(n) * n / n.max()),
        Wrong("the counts themselves turn means into sums; divide by their mean", lambda n: n.float()),
        Wrong("a softmax of counts is no share of them", lambda n: len(n) * n.float().softmax(0)),
        Wrong("the number of ranks goes in once, not twice", lambda n: len(n) ** 2 * n / n.sum()),
    ),
)
def rank_scales(answer, solution):
    for counts, case in [([2, 6], "on two ranks with 2 and 6 tokens"), ([4, 4, 4], "on three ranks alike"),
                         ([10, 0, 5, 1], "on four ranks, one without a token to learn")]:  # fmt: skip
        counts = torch.tensor(counts)
        yield differs(answer(counts), solution(counts), case)


@exercise(
    "tuning.from_two_sizes",
    title="Signal and noise from two batch sizes",
    signature="from_two_sizes(small, large: mean squared gradient lengths, sizes=(b, B)) -> (|G|^2, trace), two floats",
    solution="llmrl.tuning.noise.from_two_sizes",
    minutes=12,
    difficulty=2,
    hints=(
        "Two equations, two unknowns: small = |G|^2 + trace/b and large = |G|^2 + trace/B.",
        "Subtract them: small - large = trace (1/b - 1/B). For |G|^2 multiply each by its size first, then subtract.",
    ),
    wrong=(
        Wrong(
            "the larger batch's length is taken for the signal, but it holds noise as well: trace/B of it",
            lambda s, l, z: (l, (s - l) / (1 / z[0] - 1 / z[1])),
        ),
        Wrong(
            "signal and noise changed places in what is returned",
            lambda s, l, z: noise.from_two_sizes(s, l, z)[::-1],
        ),
        Wrong(
            "the trace is the difference divided by 1/b - 1/B, not the difference alone",
            lambda s, l, z: (noise.from_two_sizes(s, l, z)[0], s - l),
        ),
        Wrong("the trace came out negative: the smaller batch has the longer gradient", lambda s, l, z: (
            noise.from_two_sizes(s, l, z)[0], -noise.from_two_sizes(s, l, z)[1])),
        Wrong(
            "the sizes belong to the other length each: B goes with the larger batch",
            lambda s, l, z: ((z[1] * s - z[0] * l) / (z[1] - z[0]), noise.from_two_sizes(s, l, z)[1]),
        ),
        Wrong(
            "the trace is per sample: dividing by the size of the batch is already in the law",
            lambda s, l, z: (noise.from_two_sizes(s, l, z)[0], noise.from_two_sizes(s, l, z)[1] / z[0]),
        ),
        Wrong(
            "this is the noise scale; signal and trace are wanted one by one",
            lambda s, l, z: noise.from_two_sizes(s, l, z)[1] / noise.from_two_sizes(s, l, z)[0],
        ),
    ),
)  # fmt: skip
def from_two_sizes(answer, solution):
    for small, large, sizes, case in [
        (9.0, 6.0, (1, 2), "on lengths 9 and 6 of batches of 1 and 2"),
        (5.0, 2.25, (4, 16), "on batches of 4 and 16"),
        (3.0, 3.0, (2, 8), "where the length does not change and nothing is noise"),
    ]:
        yield differs(answer(small, large, sizes), solution(small, large, sizes), case)
