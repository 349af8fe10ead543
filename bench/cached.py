"""Token after token with a cache: far into a text and near its beginning, against reading it all, against peers."""

import torch

from bench.contest import Contest, agree, row
from bench.training import TINY
from llmrl.lm.cache import new_cache
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

TOKENS = 16  # read one by one in a call


def prepared(quick):
    """A model and texts as long as its context, (B, T)."""
    config, B = (TINY, 2) if quick else (Config(), 16)
    ids = torch.randint(4, config.vocab, (B, config.context), generator=rng(0, "bench", "texts"))
    return TinyLM(config, rng(0, "bench", "weights")).eval(), ids


def recomputing(model, ids):
    """The scores after each of the last tokens, the whole text read anew for each.  -> (B, TOKENS, V)"""

    @torch.inference_mode()
    def call():
        ends = range(ids.shape[1] - TOKENS + 1, ids.shape[1] + 1)
        return torch.stack([model(ids[:, :end])[:, -1] for end in ends], 1)

    return call


def cached(model, ids):
    """The same scores, all before the last tokens remembered."""
    memory, before = new_cache(model, *ids.shape), ids.shape[1] - TOKENS
    with torch.inference_mode():
        model(ids[:, :before], cache=memory)

    @torch.inference_mode()
    def call():
        for past in memory:
            past.length = before  # forget what the call before this one wrote
        return torch.cat([model(token, cache=memory) for token in ids[:, before:].split(1, dim=1)], 1)

    return call


def cached_by_transformers(model, ids):
    """The same scores by transformers' Llama and its own cache."""
    hf = model.to_transformers().eval()
    with torch.inference_mode():
        memory = hf(ids[:, :-TOKENS], use_cache=True).past_key_values

    @torch.inference_mode()
    def call():
        logits = [hf(token, past_key_values=memory).logits for token in ids[:, -TOKENS:].split(1, dim=1)]
        memory.crop(-TOKENS)
        return torch.cat(logits, 1)

    return call


def same_scores(ours, theirs):
    agree("how far the scores are apart", (ours() - theirs()).abs().max().item(), 0.0)


@row("cached.recomputing")
def against_reading_it_all(quick):
    """At the end of a long text, against computing every position again for every token."""
    model, ids = prepared(quick)
    ours, theirs = cached(model, ids), recomputing(model, ids)
    same_scores(ours, theirs)
    return Contest(ours, theirs, TOKENS * len(ids), "tokens/s", aim=20)


@row("cached.transformers")
def against_transformers(quick):
    """At the end of a long text, each side with its own cache."""
    model, ids = prepared(quick)
    ours, theirs = cached(model, ids), cached_by_transformers(model, ids)
    same_scores(ours, theirs)
    return Contest(ours, theirs, TOKENS * len(ids), "tokens/s", aim=1.5)


@row("cached.length")
def at_two_lengths(quick):
    """The last tokens of a long text against the first ones: 1 would be flat. Only the look back is longer."""
    model, ids = prepared(quick)
    beginning = ids[:, : TOKENS + 1]
    for text in (ids, beginning):
        same_scores(cached(model, text), recomputing(model, text))
    return Contest(cached(model, ids), cached(model, beginning), TOKENS * len(ids), "tokens/s", aim=0.9)
