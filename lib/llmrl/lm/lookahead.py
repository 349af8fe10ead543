r"""Lookahead decoding: the model guesses for itself (Fu et al. 2024, arXiv:2402.02057).

Jacobi iteration fills a window of future positions with any tokens, lets the model say for all of them at once what
should follow, puts that in their place, and repeats; each round makes the window less wrong. Lookahead decoding keeps
the last rounds, N - 1 levels of W tokens, so that a column of the window together with what the model now says after
it is an n-gram of N tokens in the model's own words. N-grams are pooled by their first token; those that begin with the
newest token are guesses, checked in the same pass that moves the window on. Whatever the pool holds, the text is the
greedy one. Left out: the rule for sampling, a pool filled from the prompt, several devices.

Shapes: N tokens of an n-gram, W columns of the window, n = (N-1)(W + guesses) tokens of a pass at most.
"""

import torch

from llmrl.lm.cache import new_cache
from llmrl.lm.generation import check
from llmrl.lm.model import turns
from llmrl.lm.speculative import Speculated


def sight(levels, window, guesses):
    """Who sees whom in a pass: the window, level by level, then the guesses, one token per level.  -> (n, n) bool

    A token of the window sees its column in the levels before, and of the first level all columns up to its own. A
    token of a guess sees that guess so far and the newest token, which is the window's first.
    """
    level, column = torch.arange(levels).repeat_interleave(window), torch.arange(window).repeat(levels)
    above = (level <= level[:, None]) & (column == column[:, None])
    first = (level == 0) & (column <= column[:, None])
    visible = torch.block_diag(above | first, *[torch.ones(levels, levels).tril()] * guesses).bool()
    visible[:, 0] = True
    return visible


def agreeing(guess, said, start):
    """How many tokens of a guess the model says itself.  said: after every token of the pass; start: of the guess"""
    answers = [said[0], *said[start : start + len(guess)]]
    return next((k for k, token in enumerate(guess) if token != answers[k]), len(guess))


class Lookahead:
    """One text being written: its newest token and window, the pool of n-grams, and the memory of what is settled."""

    def __init__(self, model, prompt, room, window, ngram, guesses):
        self.model, self.most, self.pool = model, guesses, {}
        self.cache = new_cache(model, 1, room + (ngram - 1) * (window + guesses))
        newest = int(model(torch.tensor([prompt]), cache=self.cache)[0, -1].argmax())
        self.levels = [[prompt[(r + j) % len(prompt)] for j in range(window)] for r in range(ngram - 1)]
        self.levels[0][0] = newest

    def step(self):
        """One pass of the model.  -> how many tokens could have been kept, and 1 to N new ones"""
        guesses, settled = list(self.pool.get(self.levels[0][0], ())), self.cache[0].length
        said = self.read(guesses, settled)
        length, size = len(self.levels), len(self.levels) * len(self.levels[0])
        starts = [size + i * length for i in range(len(guesses))]
        kept, start = max(((agreeing(g, said, at), at) for g, at in zip(guesses, starts)), default=(0, 0))
        self.settle(settled, start, kept)
        tokens = [said[0], *said[start : start + kept]]
        self.move(said[size - len(self.levels[0]) : size], tokens)
        return length if guesses else 0, tokens

    def read(self, guesses, settled):
        """What the model says after every token of window and guesses, in one pass.  -> a list of n tokens"""
        length, window = len(self.levels), len(self.levels[0])
        ahead = [r + j for r in range(length) for j in range(window)] + list(range(1, length + 1)) * len(guesses)
        ids = torch.tensor([token for row in [*self.levels, *guesses] for token in row])
        visible = sight(length, window, len(guesses))
        visible = torch.cat([visible.new_ones(len(ids), settled), visible], dim=1)  # (n, settled + n)
        turn, x = turns(settled + torch.tensor(ahead), self.model.config), self.model.embed(ids[None])
        for layer, memory in zip(self.model.layers, self.cache):
            x = layer(x, turn, visible, memory)
        return self.model.unembed(self.model.norm(x))[0].argmax(-1).tolist()

    def settle(self, settled, start, kept):
        """Remember the newest token and what was kept of a guess, which was read at `start`; forget the rest."""
        place = settled + 1
        for past in self.cache:
            for memory in (past.k, past.v):
                memory[:, :, place : place + kept] = memory[:, :, settled + start : settled + start + kept].clone()
            past.length = place + kept

    def move(self, last, tokens):
        """Pool the window's n-grams, move it on by the new tokens.  last: what the model says after the last level"""
        for first, *rest in zip(*self.levels, last):
            pool = self.pool.setdefault(first, {})
            pool.pop(tuple(rest), None)
            pool[tuple(rest)] = True  # the newest stands last
            while len(pool) > self.most:
                del pool[next(iter(pool))]
        further = len(tokens) - 1
        rows = [*self.levels[1:], last]
        self.levels = [(row[further:] + row[-1:] * further)[: len(last)] for row in rows]
        self.levels[0][0] = tokens[-1]


@torch.inference_mode()
def lookahead(model, prompt, max_new, window=8, ngram=4, guesses=4):
    """Continue one prompt by max_new tokens, the greedy ones, several per pass.  prompt: a list of ids"""
    check(model, [prompt], max_new, ())
    for name, size, least in (("window", window, 1), ("ngram", ngram, 2), ("guesses", guesses, 1)):
        if isinstance(size, bool) or not isinstance(size, int) or size < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {size!r}: the default works")
    text = Lookahead(model, prompt, len(prompt) + max_new, window, ngram, guesses)
    ids, rounds = [text.levels[0][0]], [(0, 0)]  # reading the prompt gives the first token
    while len(ids) < max_new:
        made, tokens = text.step()
        tokens = tokens[: max_new - len(ids)]
        rounds.append((made, len(tokens) - 1))
        ids += tokens
    return Speculated(ids, rounds)
