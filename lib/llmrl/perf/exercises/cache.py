"""Exercises on decoding with a cache: what is read for a token, and where it lies.

Left out: servers.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


@exercise(
    "perf.decode_intensity",
    title="Operations per byte",
    signature="decode_intensity(weights, cache_bytes, look_back, texts, size=2) -> a number",
    solution="llmrl.perf.writing.decode_intensity",
    minutes=5,
    difficulty=1,
    hints=(
        "Each of the texts gets one token more. The weights are read once for all of them; who else has to be read?",
        "Operations: texts * (2 * weights + look_back). Bytes: size * weights + texts * cache_bytes.",
    ),
    wrong=(
        Wrong(
            "the weights are read once for all texts together: that is what a batch is for",
            lambda w, c, b, n, size=2: (2 * w + b) / (size * w + c),
        ),
        Wrong(
            "every text has a cache of its own to be read", lambda w, c, b, n, size=2: n * (2 * w + b) / (size * w + c)
        ),
        Wrong(
            "a weight makes two operations, a product and a sum",
            lambda w, c, b, n, size=2: n * (w + b) / (size * w + n * c),
        ),
        Wrong("a weight has `size` bytes", lambda w, c, b, n, size=2: n * (2 * w + b) / (w + n * c)),
        Wrong("the look back of every text is work, too", lambda w, c, b, n, size=2: n * 2 * w / (size * w + n * c)),
        Wrong(
            "every text makes its own operations, however many read the weights together",
            lambda w, c, b, n, size=2: (2 * w + b) / (size * w + n * c),
        ),
        Wrong("the cache has to be read, all of it", lambda w, c, b, n, size=2: n * (2 * w + b) / (size * w)),
    ),
)
def decode_intensity(answer, solution):
    for weights, cache, back, texts, size in ((1000, 300, 500, 1, 2), (1000, 300, 500, 8, 2), (50, 7, 9, 3, 4)):
        case = f"for {weights} weights of {size} bytes and {texts} texts"
        given = answer(weights, cache, back, texts, size)
        yield differs(given, solution(weights, cache, back, texts, size), case)


@exercise(
    "perf.page_places",
    title="Where does a token lie?",
    signature="page_places(table: list of pages, positions: (T,) long, size) -> page (T,), place on it (T,)",
    solution="llmrl.perf.pages.page_places",
    minutes=3,
    difficulty=1,
    hints=(
        "Positions 0 to size - 1 lie on the first page of the table, the next ones on the second. Which number that "
        "page has in the pool is what the table says.",
        "torch.tensor(table)[positions // size] and positions % size.",
    ),
    wrong=(
        Wrong(
            "positions // size counts within the table; the table says which page of the pool that is",
            lambda table, p, size: (p // size, p % size),
        ),
        Wrong(
            "pages need not lie side by side: look every one up",
            lambda table, p, size: (table[0] + p // size, p % size),
        ),
        Wrong(
            "the place counts from the beginning of its page",
            lambda table, p, size: (torch.tensor(table)[p // size], p),
        ),
        Wrong(
            "page and place are exchanged: which page is the quotient, where on it the rest",
            lambda table, p, size: (torch.tensor(table)[p % size % len(table)], p // size),
        ),
        Wrong(
            "neighbouring tokens lie on one page until it is full; these are dealt out in turn",
            lambda table, p, size: (torch.tensor(table)[p % len(table)], p // len(table)),
        ),
    ),
)
def page_places(answer, solution):
    for table, size in (([7, 2, 5], 4), ([3, 0], 5)):
        positions = torch.arange(len(table) * size)
        case = f"on pages {table} of {size}"
        yield differs(tuple(answer(table, positions, size)), solution(table, positions, size), case)
