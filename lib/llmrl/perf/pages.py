"""Paged memory for keys and values: texts grow page by page, and texts with one beginning share its pages.

A page has room for a few tokens. A text owns a list of pages, its table, and takes another page when the last is full,
so nobody has to know in advance how long it will be, and pages need not lie side by side. A copy of a text (another
answer to the same prompt) gets the same pages; each counts its owners, and the first to write on a shared page copies
it (copy on write). After Kwon et al. 2023, arXiv:2309.06180. Reading happens page by page, one block of the online
softmax each. Left out: one table for all layers, as servers have it; swapping pages to another memory.

Shapes: N pages of P tokens, B texts of one length, K key-value heads, G = H/K query heads each, T new positions, S all
so far, E width.
"""

import torch

from llmrl.lm.decoding import Sampling
from llmrl.lm.generation import Rows, speak
from llmrl.perf.online_softmax import combine, finish, state_of


class OutOfPages(Exception):
    """Every page has an owner."""


class PageTable:
    """Who owns which page.  Texts have names of any kind."""

    def __init__(self, pages, size):
        for name, n in (("pages", pages), ("size", size)):
            if not isinstance(n, int) or isinstance(n, bool) or n < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {n!r}: 16 tokens a page are usual")
        self.size, self.free, self.owners = size, list(reversed(range(pages))), [0] * pages
        self.tables, self.lengths = {}, {}

    def add(self, text):
        """A new text, empty."""
        if text in self.tables:
            raise ValueError(f"text {text!r} is there already: drop it first, or choose another name")
        self.tables[text], self.lengths[text] = [], 0

    def fork(self, text, copy):
        """A copy that shares every page."""
        self.add(copy)
        self.tables[copy], self.lengths[copy] = list(self._table(text)), self.lengths[text]
        for page in self.tables[copy]:
            self.owners[page] += 1

    def grow(self, text):
        """Room for one more token.  -> its page, its place on it, and the page to copy first, or None"""
        table, source = self._table(text), None
        place = self.lengths[text] % self.size
        if place == 0:
            table.append(self._take())
        elif self.owners[table[-1]] > 1:
            source, table[-1] = table[-1], self._take()
            self.owners[source] -= 1
        self.lengths[text] += 1
        return table[-1], place, source

    def drop(self, text):
        """The text is done; pages without an owner are free."""
        for page in self._table(text):
            self.owners[page] -= 1
            if self.owners[page] == 0:
                self.free.append(page)
        del self.tables[text], self.lengths[text]

    @property
    def taken(self):
        """Pages with an owner."""
        return len(self.owners) - len(self.free)

    def _take(self):
        if not self.free:
            raise OutOfPages(f"all {len(self.owners)} pages are taken: drop a text, or wait until one is done")
        page = self.free.pop()
        self.owners[page] = 1
        return page

    def _table(self, text):
        if text not in self.tables:
            raise KeyError(f"no text is called {text!r}: add it first")
        return self.tables[text]


def page_places(table, positions, size):
    """Where tokens lie: the page and the place on it.  table: list of pages, positions (T,) -> (T,), (T,)"""
    return torch.tensor(table)[positions // size], positions % size


class PagedPast:
    """What one layer remembers of B texts of one length, on pages: takes the place of `lm.cache.Past`."""

    def __init__(self, pages, size, heads, width, like):
        self.table, self.texts, self._names = PageTable(pages, size), [], iter(range(10**9))
        self.k, self.v = (like.new_zeros(pages, size, heads, width) for _ in range(2))

    @property
    def length(self):
        return self.table.lengths[self.texts[0]] if self.texts else 0

    def append(self, k, v):
        """Write (B, K, T, E) behind the past and return all of it, (B, K, S, E), gathered from its pages."""
        if not self.texts:
            self.texts = [self._new() for _ in k]
        for row, text in enumerate(self.texts):
            for t in range(k.shape[2]):
                page, place, source = self.table.grow(text)
                if source is not None:
                    self.k[page], self.v[page] = self.k[source], self.v[source]
                self.k[page, place], self.v[page, place] = k[row, :, t], v[row, :, t]
        return tuple(torch.stack([self.read(x, text) for text in self.texts]) for x in (self.k, self.v))

    def read(self, pool, text):
        """One text's tokens in order, copied together.  -> (K, S, E)"""
        positions = torch.arange(self.table.lengths[text])
        return pool[page_places(self.table.tables[text], positions, self.table.size)].transpose(0, 1)

    def keep(self, rows):
        """Go on with these rows only, or with several copies of one: a copy shares the pages."""
        before, after = self.texts, []
        for row in rows.tolist():
            copy = next(self._names)
            self.table.fork(before[row], copy)
            after.append(copy)
        for text in before:
            self.table.drop(text)
        self.texts = after

    def _new(self):
        text = next(self._names)
        self.table.add(text)
        return text


def paged_attention(q, past, row):
    """One new position looks back page by page, and nothing is gathered.  q (H, E) -> (H, E)"""
    text, K = past.texts[row], past.k.shape[2]
    queries, left, state = q.unflatten(0, (K, -1)), past.table.lengths[text], None  # (K, G, E)
    for page in past.table.tables[text]:
        k, v = (pool[page, :left].transpose(0, 1) for pool in (past.k, past.v))  # (K, P, E), the last page in part
        block = state_of(queries @ k.mT * q.shape[-1] ** -0.5, v)
        state, left = block if state is None else combine(state, block), left - past.table.size
    return finish(state)[0].flatten(0, 1)


def answers_together(model, prompt, dice, cache):
    """Several answers to one prompt that is read once, written to the end of the dice.  prompt (1, T), dice (G, N)

    -> ids (G, N), their log-probabilities (G, N), and how many pages had an owner after each pass, [] without pages.
    """
    taken, books = [], getattr(cache[0], "table", None)
    hook = model.layers[-1].register_forward_hook(lambda *_: taken.append(books.taken) if books else None)
    try:
        with torch.inference_mode():
            rows = Rows(torch.arange(1), None, cache)
            logits = rows.next_logits(model, prompt).expand(len(dice), -1)
            rows.keep(torch.zeros(len(dice), dtype=torch.long))  # copies of the prompt, one per answer
            rows.index = torch.arange(len(dice))
            said, logp = speak(model, rows, logits, Sampling(), dice, ())
    finally:
        hook.remove()
    return said, logp, taken
