r"""Only what a grammar allows: an automaton over bytes, lifted to tokens, masks the scores.

A token is a few bytes, so the automaton can take it when it can take its bytes one after the other. Before each choice
every other token gets $-\infty$, and softmax shares its probability among the rest (Willard and Louf 2023,
arXiv:2307.09702). If tokens that need too many further bytes are masked as well, and every byte is a token, the text is
always finished within its budget, whatever the model, temperature and dice. It is not the model's distribution given
that the text is valid: each choice is renormalised alone, not by how likely a valid ending is (Park et al. 2024,
arXiv:2405.21047). Left out: grammars other than one automaton; masks computed ahead of time; batches.

Shapes: V vocabulary.
"""

import math

import torch

from llmrl.lm.decoding import Sampling, check_max_new
from llmrl.lm.reader import Reader


def advance(step, state, token):
    """The state after all bytes of a token, None where one is refused.  step(state, byte) -> state or None"""
    for byte in token:
        state = step(state, byte)
        if state is None:
            return None
    return state


def allowed(step, state, tokens):
    """Which tokens the automaton can take.  tokens: the bytes of each -> bool (V)"""
    return torch.tensor([advance(step, state, token) is not None for token in tokens])


class Mask:
    """A grammar over the tokens of a vocabulary; what a state allows is computed once."""

    def __init__(self, grammar, tokens, control=4):
        """grammar: start, step, finished, shortest, such as JSON(); the first `control` tokens are not text"""
        missing = {bytes([byte]) for byte in range(256)} - set(tokens[control:])
        if missing:
            raise ValueError(f"every byte must be a token, {len(missing)} are not: a text could not always be finished")
        self.grammar, self.tokens, self.control, self.known = grammar, tokens, control, {}

    def costs(self, state):
        """Bytes needed to finish after each token, infinite for those not allowed.  -> (V,)"""
        if state not in self.known:
            ends = [None] * self.control + [advance(self.grammar.step, state, t) for t in self.tokens[self.control :]]
            costs = [math.inf if end is None else self.grammar.shortest(end) for end in ends]
            self.known[state] = torch.tensor(costs)
        return self.known[state]

    def allowed(self, state, room):
        """Which tokens leave a text that can be finished in time, with `room` tokens from here.  -> bool (V)"""
        return self.costs(state) <= room - 1


@torch.inference_mode()
def constrained(model, prompt, mask, max_new, sampling=Sampling(), generator=None):
    """A text of the grammar, max_new tokens at most, drawn behind a prompt.  a list of ids -> a list of ids"""
    check_max_new(max_new)
    grammar, state, ids = mask.grammar, mask.grammar.start, []
    if grammar.shortest(state) > max_new:
        raise ValueError(f"max_new must be at least {grammar.shortest(state)}, got {max_new}: no text is shorter")
    reader, dice = Reader(model, len(prompt) + max_new), sampling.dice(1, max_new, generator)
    scores = reader.read(prompt)[:, -1]  # (1, V)
    while True:
        scores = scores.masked_fill(~mask.allowed(state, max_new - len(ids)), -torch.inf)
        ids.append(int(sampling.choose(scores, dice[:, len(ids)])))
        state = advance(grammar.step, state, mask.tokens[ids[-1]])
        if grammar.finished(state):
            return ids
        scores = reader.read(ids[-1:])[:, -1]
