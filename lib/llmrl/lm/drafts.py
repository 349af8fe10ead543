"""Who guesses for speculative decoding: a small model, or the text itself.

A draft has a vocabulary and one method: `guess` returns up to `ahead` tokens that may follow, and for each the
distribution it was drawn from, which the rule of acceptance needs. A small model draws from its own. Prompt lookup
(Saxena 2023) finds the last place where the newest tokens stood before and proposes what followed there; it is certain
of each guess, costs nothing, and serves where a text repeats itself: quotations, code, edits. A table has counted in
another text what follows what. Left out: heads on the large model's own stream that guess several tokens (Medusa,
EAGLE).

Shapes: g guesses, V vocabulary.
"""

import torch
import torch.nn.functional as F

from llmrl.lm.decoding import draw
from llmrl.lm.reader import Reader


class ModelDraft:
    """A small model with the same vocabulary, and a memory of its own that follows the text."""

    def __init__(self, model):
        self.model, self.vocab, self.ids = model, model.config.vocab, []
        self.reader = Reader(model, model.config.context)

    def guess(self, ids, ahead, sampling, generator):
        """ids: the text so far, a list -> a list of g tokens, and their distributions (g, V)"""
        self.follow(ids)
        dice, q = sampling.dice(1, max(ahead, 1), generator), []
        for i in range(ahead):
            scores = self.reader.read(self.ids[self.reader.length :])[0, -1:]
            q.append(sampling.probabilities(scores))  # (1, V)
            self.ids.append(int(draw(q[-1], dice[:, i])))
        return self.ids[len(ids) :], torch.cat(q) if q else None

    def follow(self, ids):
        """Go back to where memory and text part, at least one token before the end: it has yet to be read."""
        same = next((i for i, (a, b) in enumerate(zip(self.ids, ids)) if a != b), min(len(self.ids), len(ids)))
        self.reader.back_to(min(same, len(ids) - 1, self.reader.length))
        self.ids = list(ids)


class LookupDraft:
    """What followed the newest tokens the last time they stood in the text."""

    def __init__(self, longest, vocab):
        """longest: how many tokens have to recur, at best; fewer will do, down to one"""
        self.longest, self.vocab = check_longest(longest), vocab

    def guess(self, ids, ahead, sampling, generator):
        """ids: the text so far, a list -> a list of g tokens, and their distributions (g, V), certain of each"""
        guesses = followed(ids, self.longest)[:ahead]
        return guesses, F.one_hot(torch.tensor(guesses, dtype=torch.long), self.vocab).double()


def check_longest(longest):
    if isinstance(longest, bool) or not isinstance(longest, int) or longest < 1:
        raise ValueError(f"longest must be a whole number of at least 1, got {longest!r}: 3 tokens is common")
    return longest


def followed(ids, longest):
    """What came after the last earlier place of the newest tokens, the longest run of them that has one."""
    for n in range(min(longest, len(ids) - 1), 0, -1):
        for start in range(len(ids) - n - 1, -1, -1):
            if ids[start : start + n] == ids[-n:]:
                return ids[start + n :]
    return []


class TableDraft:
    """What followed the newest tokens in a text read beforehand, counted: a table in place of a model."""

    def __init__(self, ids, longest, vocab):
        """ids: the text read beforehand; longest: how many tokens are looked up, at best, down to one"""
        self.longest, self.vocab, self.seen = check_longest(longest), vocab, {}
        for n in range(1, longest + 1):
            for *before, after in zip(*(ids[i:] for i in range(n + 1))):
                counts = self.seen.setdefault(tuple(before), {})
                counts[after] = counts.get(after, 0) + 1

    def scores(self, ids):
        """Log counts of what followed the longest run at the end of ids that was seen.  -> (1, V)"""
        scores = torch.full((1, self.vocab), -torch.inf)
        for n in range(self.longest, 0, -1):
            if counts := self.seen.get(tuple(ids[-n:])):
                scores[0, list(counts)] = torch.tensor(list(counts.values())).float().log()
                return scores
        return torch.zeros(1, self.vocab)

    def guess(self, ids, ahead, sampling, generator):
        """ids: the text so far, a list -> a list of g tokens, and their distributions (g, V)"""
        dice, q, text = sampling.dice(1, max(ahead, 1), generator), [], list(ids)
        for i in range(ahead):
            q.append(sampling.probabilities(self.scores(text)))
            text.append(int(draw(q[-1], dice[:, i])))
        return text[len(ids) :], torch.cat(q) if q else None
