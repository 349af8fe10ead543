r"""Speculative decoding: a small model guesses, the large one checks many guesses in one pass, and nothing changes.

A pass over g + 1 tokens costs little more than a pass over one. So a draft proposes g tokens, drawn from its own
distributions q, and the target computes p for all of them at once. A guess x is kept with probability
$\min(1, p(x)/q(x))$; at the first that is not, the token is drawn from what p has more than q, and the rest is thrown
away; if all are kept, one more is drawn for free. Every token then has exactly the target's distribution, whatever the
draft (Leviathan et al. 2022, arXiv:2211.17192; Chen et al. 2023, arXiv:2302.01318). At temperature 0 both
distributions are certain of one token, and the same rule gives the greedy text. Left out: batches, whose rows would
keep different numbers of guesses; trees of guesses.

Shapes: V vocabulary, g guesses.
"""

from dataclasses import dataclass

import torch

from llmrl.lm.decoding import Sampling, draw
from llmrl.lm.generation import check
from llmrl.lm.reader import Reader


def keeping(p, q):
    r"""$\min(1, p(x)/q(x))$, how often a guess x is kept; 1 where there is none.  (.., V), (.., V) -> (.., V)"""
    return torch.where(q > 0, (p / q).clamp(max=1), 1.0)


def residual(p, q):
    r"""$\frac{\max(0,\,p-q)}{\sum_v\max(0,\,p-q)}$, what replaces a guess not kept.  (.., V), (.., V) -> (.., V)"""
    more = (p - q).clamp(min=0)
    total = more.sum(-1, keepdim=True)
    return torch.where(total > 0, more / total, p)  # p = q keeps every guess, so nothing is ever drawn from it


def acceptance(p, q):
    r"""$\alpha=\sum_v\min(p, q)$, the share of guesses that is kept.  (.., V), (.., V) -> (..)"""
    return torch.minimum(p, q).sum(-1)


def tokens_per_pass(alpha, guesses):
    r"""$\frac{1-\alpha^{g+1}}{1-\alpha}$, the mean number of tokens a pass of the target yields."""
    return sum(alpha**i for i in range(guesses + 1))


def verify(p, q, guesses, dice):
    """The guesses that are kept, and one token more.  p (g+1, V), q (g, V), a list of g, dice (g+1,) -> 1 to g+1 tokens

    Dice i decides about guess i; the last one draws the token that follows those kept.
    """
    for i, guess in enumerate(guesses):
        if dice[i] >= keeping(p[i], q[i])[guess]:
            return [*guesses[:i], int(draw(residual(p[i], q[i])[None], dice[-1:]))]
    return [*guesses, int(draw(p[-1:], dice[-1:]))]


@dataclass(frozen=True)
class Speculated:
    """What was said, and what it took."""

    ids: list  # the new tokens
    rounds: list  # one (guesses made, guesses kept) for each pass of the target

    @property
    def per_pass(self):
        """Tokens per pass of the target."""
        return len(self.ids) / len(self.rounds)

    @property
    def kept(self):
        """The share of guesses kept, of those looked at: nothing behind the first that is refused is."""
        looked_at = sum(min(made, kept + 1) for made, kept in self.rounds)
        return sum(kept for _, kept in self.rounds) / looked_at if looked_at else float("nan")


@torch.inference_mode()
def speculate(model, draft, prompt, max_new, ahead=4, sampling=Sampling(), generator=None):
    """Continue one prompt by max_new tokens of the model, several per pass.  prompt: a list of ids; draft: see `drafts`

    `ahead` is how many tokens the draft proposes at most.
    """
    check(model, [prompt], max_new, ())
    if isinstance(ahead, bool) or not isinstance(ahead, int) or ahead < 1:
        raise ValueError(f"ahead must be a whole number of at least 1, got {ahead!r}: guesses per pass, 4 is common")
    if draft.vocab != model.config.vocab:
        raise ValueError(
            f"the draft's vocabulary must be the model's, {model.config.vocab}, got {draft.vocab}: a guess has to mean "
            f"the same token to both"
        )
    ids, rounds, end = list(prompt), [], len(prompt) + max_new
    reader = Reader(model, end)
    while len(ids) < end:
        guesses, q = draft.guess(ids, min(ahead, end - len(ids) - 1), sampling, generator)
        scores = reader.read(ids[reader.length :] + guesses)[0, -len(guesses) - 1 :]  # (g + 1, V)
        dice = sampling.dice(1, len(guesses) + 1, generator)[0]
        said = verify(sampling.probabilities(scores), q, guesses, dice)
        rounds.append((len(guesses), len(said) - 1))
        ids += said
        reader.back_to(len(ids) - 1)  # the newest token was drawn, not read; guesses not kept are forgotten
    return Speculated(ids[len(prompt) :], rounds)
