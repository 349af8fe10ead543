"""Many texts at once, each token computed once.

Prompts of different lengths are padded on the left, so that the newest token of every row stands in the last column.
The cache keeps what the layers computed for the past; a row that has said its stop token is frozen, and when a quarter
of the rows are frozen they are taken out of the computation. What a row says depends on its prompt and its dice alone.
Left out: beams (see `decoding`), streaming, adding new prompts while others run.

Shapes: B prompts, T positions of the longest prompt, N positions of the longest completion, V vocabulary.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.cache import new_cache
from llmrl.lm.decoding import Sampling, check_max_new
from llmrl.lm.tokenizer import BPE

PAD, IM_END = BPE.pad_id, BPE.im_end_id


@dataclass(frozen=True)
class Completions:
    """What was said."""

    ids: torch.Tensor  # (B, N) long, PAD behind the end
    mask: torch.Tensor  # (B, N) bool, True on what was generated, the stop token included
    logp: torch.Tensor  # (B, N) of each token under the model itself, whatever the sampling; 0 behind the end
    stop: tuple = (IM_END,)

    def lists(self):
        """One list of ids per row, without stop token and padding."""
        rows = [row[said].tolist() for row, said in zip(self.ids, self.mask)]
        return [row[:-1] if row and row[-1] in self.stop else row for row in rows]


def generate(model, prompts, max_new, sampling=Sampling(), stop=(IM_END,), generator=None):
    """Continue every prompt until it says a token of stop, by max_new tokens at most.  prompts: lists of ids"""
    check(model, prompts, max_new, stop)
    device = model.embed.weight.device
    ids, real = (x.to(device) for x in pad_left(prompts))
    dice = sampling.dice(len(ids), max_new, generator).to(device)
    with torch.inference_mode():
        said, logp = decode(model, ids, real, sampling, dice, torch.tensor(stop, dtype=torch.long, device=device))
    mask = said >= 0
    said, mask, logp = (x[:, : int(mask.sum(1).max())].clone() for x in (said, mask, logp))
    return Completions(said.masked_fill(~mask, PAD), mask, logp, tuple(stop))


def decode(model, ids, real, sampling, dice, stop):
    """The loop: ids and real (B, T) -> said (B, max_new), -1 behind the end, and its log-probabilities."""
    (B, T), max_new = ids.shape, dice.shape[1]
    said, logp = torch.full((B, max_new), -1, device=ids.device), torch.zeros(B, max_new, device=ids.device)
    cache = new_cache(model, B, T + max_new)
    visible = torch.cat([real, real.new_ones(B, max_new)], dim=1) if not real.all() else None  # (B, T + max_new)
    rows, alive = torch.arange(B, device=ids.device), real.new_ones(B)
    for t in range(max_new):
        mask = None if visible is None else visible[:, : T + t]
        logits = model.unembed(model.hidden(ids, mask, cache)[:, -1]).float()  # (rows, V)
        token = sampling.choose(logits, dice[rows, t])
        said[rows[alive], t] = token[alive]
        logp[rows[alive], t] = logits.log_softmax(-1).gather(-1, token[:, None]).squeeze(-1)[alive]
        alive = alive & ~torch.isin(token, stop)
        count = int(alive.sum())
        if count == 0:
            break
        if count <= 0.75 * len(rows):
            keep = alive.nonzero().squeeze(-1)
            rows, token, alive = rows[keep], token[keep], alive[keep]
            visible = None if visible is None else visible[keep]
            for past in cache:
                past.keep(keep)
        ids = token[:, None]
    return said, logp


def pad_left(prompts):
    """Lists of ids -> ids (B, T), padded on the left, and real (B, T), True on tokens."""
    T = max(map(len, prompts))
    ids = torch.tensor([[PAD] * (T - len(prompt)) + list(prompt) for prompt in prompts])
    real = torch.arange(T) >= torch.tensor([[T - len(prompt)] for prompt in prompts])
    return ids, real


def is_id(x, vocab):
    return isinstance(x, int) and not isinstance(x, bool) and 0 <= x < vocab


def check(model, prompts, max_new, stop):
    vocab, context = model.config.vocab, model.config.context
    if not isinstance(prompts, (list, tuple)) or not prompts or not all(isinstance(p, (list, tuple)) for p in prompts):
        got = f"{type(prompts).__name__} {str(prompts)[:60]}"
        raise TypeError(
            f"prompts must be a list of lists of token ids with at least one prompt, got {got}: "
            f"[tokenizer.encode(text)] is a batch of one"
        )
    for i, prompt in enumerate(prompts):
        if not prompt:
            raise ValueError(f"prompt {i} must have at least one token, got none: <|endoftext|>, id 1, starts a text")
        wrong = [x for x in prompt if not is_id(x, vocab)]
        if wrong:
            raise ValueError(
                f"prompt {i} must hold whole numbers in [0, {vocab}), got {wrong[0]!r}: "
                f"encode the text with the tokenizer this model was trained with"
            )
    check_max_new(max_new)
    longest = max(map(len, prompts))
    if longest + max_new > context:
        raise ValueError(
            f"a prompt of {longest} tokens and max_new = {max_new} do not fit in a context of {context}: "
            f"set max_new to {context - longest} or less, or shorten the prompt"
        )
    if not isinstance(stop, (list, tuple)) or not all(is_id(x, vocab) for x in stop):
        raise ValueError(
            f"stop must be a tuple of token ids in [0, {vocab}), got {stop!r}: "
            f"() never stops, ({IM_END},) stops at <|im_end|>"
        )
