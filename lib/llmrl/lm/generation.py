"""Many texts at once, each token computed once.

Prompts of different lengths are padded on the left, so that the newest token of every row stands in the last column;
a prompt that is asked many times is read once. The cache keeps what the layers computed for the past. A row that has
said its stop token is frozen, and when a quarter of the rows are frozen they are taken out of the computation.
What a row says depends on its prompt and its dice alone, and its log-probabilities are the model's own.
Left out: beams (see `decoding`), streaming, adding new prompts while others run.

Shapes: B prompts, R of them still speaking, T positions of the longest prompt, N positions to come, V vocabulary.
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
    dice = sampling.dice(len(prompts), max_new, generator).to(model.embed.weight.device)
    with torch.inference_mode():
        said, logp = speak(model, *read(model, prompts, max_new), sampling, dice, stop)
    mask = said >= 0
    said, mask, logp = (x[:, : int(mask.sum(1).max())].clone() for x in (said, mask, logp))
    return Completions(said.masked_fill(~mask, PAD), mask, logp, tuple(stop))


@dataclass
class Rows:
    """The rows that still speak: which of the B they are, what each may look at, what the layers remember of them."""

    index: torch.Tensor  # (R,)
    visible: torch.Tensor  # (R, T + N) bool, False on padding; None where nothing is padded
    cache: list

    def keep(self, chosen):
        """Go on with these rows only, or with several copies of one."""
        self.index, self.visible = self.index[chosen], None if self.visible is None else self.visible[chosen]
        for past in self.cache:
            past.keep(chosen)

    def next_logits(self, model, ids):
        """Scores of the token that follows ids, which follow what is remembered.  (R, T) -> (R, V)"""
        mask = None if self.visible is None else self.visible[:, : self.cache[0].length + ids.shape[1]]
        return model.unembed(model.hidden(ids, mask, self.cache)[:, -1]).float()


def read(model, prompts, max_new):
    """Read every prompt, once however often it is asked.  -> the rows and their first scores (B, V)"""
    place = {prompt: i for i, prompt in enumerate(dict.fromkeys(map(tuple, prompts)))}
    ids, real = (x.to(model.embed.weight.device) for x in pad_left(place))
    visible = None if real.all() else torch.cat([real, real.new_ones(len(ids), max_new)], dim=1)
    rows = Rows(torch.arange(len(ids), device=ids.device), visible, new_cache(model, len(ids), ids.shape[1] + max_new))
    logits = rows.next_logits(model, ids)
    if len(place) < len(prompts):
        copies = torch.tensor([place[tuple(prompt)] for prompt in prompts], device=ids.device)
        rows.keep(copies)
        rows.index, logits = torch.arange(len(prompts), device=ids.device), logits[copies]
    return rows, logits


def speak(model, rows, logits, sampling, dice, stop):
    """Token after token.  dice (B, N) -> said (B, N), -1 behind the end, and its log-probabilities (B, N)"""
    said, logp = torch.full_like(dice, -1, dtype=torch.long), torch.zeros_like(dice, dtype=torch.float32)
    stop, alive = torch.tensor(stop, dtype=torch.long, device=dice.device), rows.index >= 0
    for t in range(dice.shape[1]):
        token = sampling.choose(logits, dice[rows.index, t])  # (R,)
        chosen = logits.log_softmax(-1).gather(-1, token[:, None]).squeeze(-1)
        said[rows.index, t], logp[rows.index, t] = token.masked_fill(~alive, -1), chosen.masked_fill(~alive, 0)
        alive = alive & ~torch.isin(token, stop)
        speaking = alive.nonzero().squeeze(-1)
        if len(speaking) == 0 or t + 1 == dice.shape[1]:
            break
        if len(speaking) <= 0.75 * len(alive):
            rows.keep(speaking)
            token, alive = token[speaking], alive[speaking]
        logits = rows.next_logits(model, token[:, None])
    return said, logp


def pad_left(prompts):
    """Rows of ids -> ids (B, T), padded on the left, and real (B, T), True on tokens."""
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
