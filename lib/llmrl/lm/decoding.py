"""From scores to the next token, and from tokens to a text: the plain loops.

A model gives every possible next token a score; decoding decides which one comes. `greedy` takes the best, `beam` keeps
several beginnings and decides later, `sample` rolls dice, and the filters first remove what is unlikely. The loops
recompute the whole text for every token, so that nothing hides the idea, and take any function from ids to logits;
`generation` and `beam_search` are the same with a memory and with stop tokens.
Left out: repetition penalties, the many other filters.

Shapes: B sequences, T positions, W beams, V vocabulary.
"""

from dataclasses import dataclass

import torch

from llmrl.lm import batch


def top_k_filter(logits, k):
    """Keep the k best scores (and what ties with the last of them), the rest become -inf.  (.., V) -> (.., V)"""
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise ValueError(f"k must be a whole number of at least 1, got {k!r}: 1 keeps the best token, 40 is common")
    threshold = logits.topk(min(k, logits.shape[-1]), dim=-1).values[..., -1:]
    return logits.masked_fill(logits < threshold, -torch.inf)


def top_p_filter(logits, p):
    """Keep the fewest best tokens whose probability reaches p, the rest become -inf; p = 1 keeps all.  (.., V)"""
    if not 0 < p <= 1:
        raise ValueError(f"top_p must be in (0, 1], got {p!r}: 1 keeps every token, 0.9 is common")
    if p == 1:
        return logits
    worst, order = logits.sort(dim=-1, stable=True)  # the least probable first, so that little is rounded away
    spare = worst.softmax(-1).cumsum(-1) <= 1 - p  # without it and all before it, the rest still reaches p
    spare[..., -1] = False  # the best always stays
    return logits.masked_fill(spare.gather(-1, order.argsort(-1)), -torch.inf)


def min_p_filter(logits, p):
    """Keep the tokens at least p times as probable as the best, the rest become -inf; p = 0 keeps all.  (.., V)"""
    if not 0 <= p <= 1:
        raise ValueError(f"min_p must be in [0, 1], got {p!r}: 0 keeps every token, 0.1 is common")
    probability = logits.softmax(-1)
    return logits.masked_fill(probability < p * probability.amax(-1, keepdim=True), -torch.inf)


def temper(logits, temperature):
    r"""$(z_i-\max_j z_j)/T$: the scores of $\mathrm{softmax}(z/T)$, none of which overflows.  (.., V) -> (.., V)"""
    if not 0 < temperature < float("inf"):
        raise ValueError(f"temperature must be above 0 and finite, got {temperature!r}: 1 leaves the model as it is")
    return (logits - logits.amax(-1, keepdim=True)) / temperature


def draw(probabilities, dice):
    """The token in whose share of [0, 1) the dice fell.  probabilities (B, V), dice (B,) -> (B,)"""
    ends = probabilities.cumsum(-1)
    return (ends <= dice[:, None] * ends[:, -1:]).sum(-1)


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen: the best at temperature 0; above, scores are divided by it, filtered, and drawn."""

    temperature: float = 0.0
    top_k: int = 0  # 0 keeps every token
    top_p: float = 1.0
    min_p: float = 0.0

    def __post_init__(self):
        if not 0 <= self.temperature < float("inf"):
            raise ValueError(
                f"temperature must be at least 0 and finite, got {self.temperature!r}: 0 takes the best token, "
                f"1 draws from the model as it is"
            )
        if self.top_k != 0:
            top_k_filter(torch.zeros(1), self.top_k)
        top_p_filter(torch.zeros(1), self.top_p)
        min_p_filter(torch.zeros(1), self.min_p)

    def choose(self, logits, dice):
        """logits (B, V), dice (B,) in [0, 1) -> (B,)"""
        return logits.argmax(-1) if self.temperature == 0 else draw(self.probabilities(logits), dice)

    def probabilities(self, logits):
        """How likely each token is to be chosen; at temperature 0 the best is certain.  logits (.., V) -> (.., V)"""
        if self.temperature == 0:
            return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).double()
        logits = temper(logits.double(), self.temperature)  # float32 would round rare tokens away
        logits = top_k_filter(logits, self.top_k) if self.top_k else logits
        logits = top_p_filter(logits, self.top_p)
        return min_p_filter(logits, self.min_p).softmax(-1)

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


def beam_step(score, logp, keep):
    r"""The best continuations of all beams together, by $s_w+\log\pi(v\mid w)$.

    score (B, W), logp (B, W, V) -> score, beam and token of the best, each (B, keep), or fewer where there are fewer
    """
    total = score[..., None] + logp  # (B, W, V)
    score, place = total.flatten(1).topk(min(keep, total[0].numel()))
    return score, place // logp.shape[-1], place % logp.shape[-1]


@torch.no_grad()
def beam(model, ids, max_new, width):
    """The best text found when `width` beginnings are kept at every step.  ids (B, T) -> (B, T + max_new)"""
    batch.check_ids(ids)
    check_max_new(max_new)
    check_width(width)
    texts, score = ids[:, None], torch.zeros(len(ids), 1, device=ids.device)  # (B, W, T), (B, W)
    for _ in range(max_new):
        logp = model(texts.flatten(0, 1))[:, -1].log_softmax(-1).unflatten(0, score.shape)  # (B, W, V)
        check_width(width, logp.shape[-1])
        score, parent, token = beam_step(score, logp, width)
        texts = torch.cat([texts.take_along_dim(parent[..., None], 1), token[..., None]], dim=-1)
    return texts[:, 0]


def check_width(width, vocab=None):
    """Between 1 and the vocabulary: the first step has no more beginnings to keep than there are tokens."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1 or width > (vocab or width):
        rule = "a whole number of at least 1" if vocab is None else f"at most the vocabulary, {vocab}"
        raise ValueError(f"width must be {rule}, got {width!r}: it is how many beginnings to keep, 4 is common")


def check_max_new(max_new):
    if isinstance(max_new, bool) or not isinstance(max_new, int) or max_new < 1:
        raise ValueError(f"max_new must be a whole number of at least 1, got {max_new!r}: it is how many tokens to add")
