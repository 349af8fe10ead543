"""From scores to the next token, and from tokens to a text: the plain loops.

A model gives every possible next token a score; decoding decides which one comes. `greedy` takes the best, `sample`
rolls dice, and the filters first remove what is unlikely. The loops recompute the whole text for every token, so that
nothing hides the idea, and take any function from ids to logits; `generation` is the same with a memory.
Left out: stop tokens, repetition penalties, the many other filters.

Shapes: B sequences, T positions, V vocabulary.
"""

from dataclasses import dataclass

import torch

from llmrl.lm import batch


def top_k_filter(logits, k):
    """Keep the k best scores (and what ties with the last of them), the rest become -inf; k = 0 keeps all.  (.., V)"""
    if isinstance(k, bool) or not isinstance(k, int) or k < 0:
        raise ValueError(f"top_k must be a whole number of at least 0, got {k!r}: 0 keeps every token, 40 is common")
    if k == 0 or k >= logits.shape[-1]:
        return logits
    threshold = logits.topk(k, dim=-1).values[..., -1:]
    return logits.masked_fill(logits < threshold, -torch.inf)


def top_p_filter(logits, p):
    """Keep the fewest best tokens whose probability reaches p, the rest become -inf; p = 1 keeps all.  (.., V)"""
    if not 0 < p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {p!r}: 1 keeps every token, 0.9 is common")
    if p == 1:
        return logits
    best, order = logits.softmax(-1).sort(dim=-1, descending=True, stable=True)
    enough = best.cumsum(-1) - best >= p  # those before it already reach p
    return logits.masked_fill(enough.gather(-1, order.argsort(-1)), -torch.inf)


def draw(probabilities, dice):
    """The token in whose share of [0, 1) the dice fell.  probabilities (B, V), dice (B,) -> (B,)"""
    ends = probabilities.cumsum(-1)
    return (ends <= dice[:, None] * ends[:, -1:]).sum(-1)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the best at temperature 0; above, scores are divided by it, filtered, and drawn."""

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(
                f"temperature must be at least 0 and finite, got {self.temperature!r}: 0 takes the best token, "
                f"1 draws from the model as it is"
            )
        top_k_filter(torch.zeros(1), self.top_k)
        top_p_filter(torch.zeros(1), self.top_p)

    def choose(self, logits, dice):
        """logits (B, V), dice (B,) in [0, 1) -> (B,)"""
        if self.temperature == 0:
            return logits.argmax(-1)
        logits = logits.double()  # float32 would round rare tokens away
        logits = (logits - logits.amax(-1, keepdim=True)) / self.temperature
        return draw(top_p_filter(top_k_filter(logits, self.top_k), self.top_p).softmax(-1), dice)

    def dice(self, rows, steps, generator):
        """One number in [0, 1) per token to come, row by row: what a row draws does not depend on the rows after it."""
        if self.temperature == 0:
            return torch.zeros(rows, steps, dtype=torch.double)
        if generator is None:
            raise ValueError(
                f"temperature {self.temperature} rolls dice and generator is None: pass "
                f"generator=llmrl.seeds.rng(seed, purpose), so that the same call gives the same text"
            )
        return torch.rand(rows, steps, dtype=torch.double, generator=generator, device=generator.device)


def greedy(model, ids, max_new):
    """The text continued by the best token, max_new times.  ids (B, T) -> (B, T + max_new)"""
    return continue_text(model, ids, max_new, Sampling(), None)


def sample(model, ids, max_new, temperature=1.0, top_k=0, top_p=1.0, generator=None):
    """The text continued by max_new tokens drawn from the model.  ids (B, T) -> (B, T + max_new)"""
    return continue_text(model, ids, max_new, Sampling(temperature, top_k, top_p), generator)


@torch.no_grad()
def continue_text(model, ids, max_new, sampling, generator):
    batch.check_ids(ids)
    check_max_new(max_new)
    dice = sampling.dice(len(ids), max_new, generator).to(ids.device)
    for t in range(max_new):
        token = sampling.choose(model(ids)[:, -1], dice[:, t])
        ids = torch.cat([ids, token[:, None]], dim=1)
    return ids


def check_max_new(max_new):
    if isinstance(max_new, bool) or not isinstance(max_new, int) or max_new < 1:
        raise ValueError(f"max_new must be a whole number of at least 1, got {max_new!r}: it is how many tokens to add")
