r"""Beam search as it is used: many prompts, a memory, stop tokens, and a rule for texts of different length.

At every step each prompt keeps the `width` best unfinished texts, by the sum of their log-probabilities, and a list of
the `width` best finished ones, by $\frac{1}{n^\alpha}\sum_{t=1}^n\log\pi(y_t\mid y_{<t})$: without the division short
texts win, because every token costs. A prompt is done when its list is full and none of what it still follows can get
onto it. The candidates, the rule for stopping and the scores are those of transformers' generate(num_beams=width).
Left out: diverse groups, constraints, sampling inside the beam.

Shapes: B prompts, R of them still searching, W beams, N steps, n of them made, V vocabulary.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from llmrl.lm.decoding import beam_step, check_width
from llmrl.lm.generation import IM_END, PAD, check, read


@dataclass(frozen=True)
class Beam:
    """How wide, what length is worth, and when to stop."""

    width: int = 4  # W
    length_penalty: float = 1.0  # alpha: 0 compares sums, 1 means per token; the larger, the longer
    early_stopping: bool | str = False  # True: as soon as W texts ended; "never": only when nothing can get better

    def __post_init__(self):
        check_width(self.width)
        if not isinstance(self.length_penalty, (int, float)) or not abs(self.length_penalty) < torch.inf:
            raise ValueError(
                f"length_penalty must be a finite number, got {self.length_penalty!r}: 0 compares sums, 1 means "
                f"per token"
            )
        if not isinstance(self.early_stopping, bool) and self.early_stopping != "never":
            raise ValueError(
                f"early_stopping must be True, False or 'never', got {self.early_stopping!r}: True stops with the "
                f"first W texts that end"
            )


@dataclass
class Finished:
    """The best finished texts of each prompt, best first."""

    ids: torch.Tensor  # (B, W, N) long, PAD behind the end
    length: torch.Tensor  # (B, W), the stop token included
    score: torch.Tensor  # (B, W), -inf where nothing has finished
    beam: Beam
    stop: tuple

    @classmethod
    def none(cls, shape, beam, stop, device):
        """Nothing has finished yet.  shape (B, W, N)"""
        ids = torch.full(shape, PAD, device=device)
        return cls(ids, ids[..., 0].clone(), torch.full(shape[:2], -torch.inf, device=device), beam, tuple(stop))

    def lists(self):
        """For every prompt its texts as lists of ids, without stop token and padding."""
        found = zip(self.ids.tolist(), self.length.tolist())
        rows = [[text[:n] for text, n in zip(texts, lengths)] for texts, lengths in found]
        return [[text[:-1] if text and text[-1] in self.stop else text for text in texts] for texts in rows]

    def add(self, prompts, ids, logp):
        """Texts of n tokens that may have ended: those with a logp above -inf.  (R,), (R, W, n), (R, W)"""
        n = ids.shape[-1]
        ids = F.pad(ids, (0, self.ids.shape[-1] - n), value=PAD)
        score = torch.cat([self.score[prompts], logp / n**self.beam.length_penalty], dim=1)
        length = torch.cat([self.length[prompts], torch.full_like(logp, n, dtype=torch.long)], dim=1)
        self.score[prompts], best = score.topk(self.beam.width)
        self.length[prompts] = length.take_along_dim(best, 1)
        self.ids[prompts] = torch.cat([self.ids[prompts], ids], dim=1).take_along_dim(best[..., None], 1)

    def open(self, prompts, logp, n):
        """Whether the best unfinished text of a prompt, n tokens long, may still get onto its list.  (R,) -> (R,)"""
        worst = self.score[prompts, -1]
        if self.beam.early_stopping is True:
            return worst == -torch.inf
        longest = self.ids.shape[-1] if self.beam.early_stopping == "never" and self.beam.length_penalty > 0 else n
        return logp / longest**self.beam.length_penalty > worst


def beam_search(model, prompts, max_new, beam=Beam(), stop=(IM_END,)):
    """The `width` best texts for each prompt (lists of ids) that end in a token of stop or after max_new tokens."""
    check(model, prompts, max_new, stop)
    check_width(beam.width, model.config.vocab)
    found = Finished.none((len(prompts), beam.width, max_new), beam, stop, model.embed.weight.device)
    with torch.inference_mode():
        search(model, *read(model, prompts, max_new), found)
    return found


def search(model, rows, logits, found):
    """Step after step until no prompt is open.  logits (B, V): the scores of each prompt's first token"""
    W, N = found.ids.shape[1:]
    prompts, stop = rows.index, torch.tensor(found.stop, dtype=torch.long, device=logits.device)
    text, score = prompts.new_empty(len(prompts), 1, 0), logits.new_zeros(len(prompts), 1)
    for n in range(1, N + 1):
        logp = logits.log_softmax(-1).unflatten(0, score.shape)  # (R, W, V), at first (R, 1, V)
        first = score.shape[1] * torch.arange(len(prompts), device=stop.device)[:, None]
        score, parent, token = beam_step(score, logp, W * (1 + len(stop)))  # stops may take the best places
        text = torch.cat([text.take_along_dim(parent[..., None], 1), token[..., None]], dim=-1)  # (R, .., n)
        ended = torch.isin(token, stop) | (n == N)
        found.add(prompts, text[:, :W], score[:, :W].masked_fill(~ended[:, :W], -torch.inf))
        score, best = score.masked_fill(ended, -torch.inf).topk(W)  # (R, W)
        going = found.open(prompts, score[:, 0], n)
        if n == N or not going.any():
            return
        rows.keep((first + parent.take_along_dim(best, 1))[going].flatten())
        prompts, score, text = prompts[going], score[going], text.take_along_dim(best[..., None], 1)[going]
        logits = rows.next_logits(model, text[:, :, -1].reshape(-1, 1))
