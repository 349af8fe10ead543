r"""Counting: the language models that were there before, and the yardstick for those that came after.

The entropy of a text's tokens is what a guesser pays per token who knows only how often each occurs; the conditional
entropy of order k, what one pays who also knows how often each followed the k-1 before it. On the text that was counted
this falls towards zero as k grows, because long runs occur once: it is memory, not prediction. So a count model is
judged on other text, and there it needs smoothing. Ours gives every context s imaginary followers, spread as the
shorter context spreads them (MacKay and Peto 1995), down to one that knows nothing:
$p_k(y\mid c)=\frac{n(c\,y)+s\,p_{k-1}(y\mid c')}{n(c)+s}$.
Left out: discounting as Kneser and Ney do it, which is better on real text.

Shapes: R rows, T positions, V vocabulary.
"""

import torch

from llmrl.lm import batch


def _runs(ids, n, vocab):
    """Every run of n tokens as one number.  (R, T) -> (R, T-n+1)"""
    powers = vocab ** torch.arange(n, device=ids.device)
    return (ids.unfold(-1, n, 1) * powers).sum(-1)


def _check(ids, vocab, order):
    batch.check_ids(ids)
    batch.check_range(ids, vocab)
    if isinstance(order, bool) or not isinstance(order, int) or not 1 <= order or vocab**order > 2**62:
        raise ValueError(
            f"order must be a whole number of at least 1 with vocab**order below 2**62, got order {order!r} and vocab "
            f"{vocab}: 1 counts tokens, 2 counts pairs"
        )
    if ids.shape[1] < order:
        raise ValueError(f"rows of {ids.shape[1]} tokens hold no run of {order}: lower the order or give longer rows")


def entropy(ids, vocab, order=1):
    r"""$-\sum_{c,y}\frac{n(cy)}{M}\log\frac{n(cy)}{n(c)}$ in nats; M runs of `order` tokens.  (R, T) -> a number"""
    _check(ids, vocab, order)
    runs = _runs(ids, order, vocab).flatten()
    _, together = runs.unique(return_counts=True)
    _, context = (runs % vocab ** (order - 1)).unique(return_counts=True)
    total = len(runs)
    parts = [(n / total * (n / total).log()).sum() for n in (together.double(), context.double())]
    return (parts[1] - parts[0]).item()


class NGram:
    """Counts of all runs of up to `order` tokens, as a model that gives every token a probability."""

    def __init__(self, ids, vocab, order=2, strength=1.0):
        _check(ids, vocab, order)
        if not 0 < strength < float("inf"):
            raise ValueError(f"strength must be above 0, got {strength!r}: without smoothing what is new has chance 0")
        self.vocab, self.order, self.strength = vocab, order, strength
        runs = [_runs(ids, n, vocab) for n in range(1, order + 1)]
        contexts = [run % vocab**n for n, run in enumerate(runs)]
        self.together, self.context = ([x.unique(return_counts=True) for x in kind] for kind in (runs, contexts))

    def logp(self, ids):
        """Log-probability of every token but the first of a row, as `token_logp` gives it.  (R, T) -> (R, T-1)"""
        _check(ids, self.vocab, 1)
        p = torch.full(ids.shape, 1 / self.vocab, dtype=torch.double)
        for n in range(1, min(self.order, ids.shape[1]) + 1):
            run = _runs(ids, n, self.vocab)  # (R, T-n+1): the first n-1 tokens keep what shorter contexts say
            together = count(self.together[n - 1], run)
            context = count(self.context[n - 1], run % self.vocab ** (n - 1))
            p[:, n - 1 :] = (together + self.strength * p[:, n - 1 :]) / (context + self.strength)
        return p[:, 1:].log()


def count(table, keys):
    """How often each key was counted, 0 if never.  table: sorted keys and their counts"""
    known, counts = table
    at = torch.searchsorted(known, keys).clamp(max=len(known) - 1)
    return torch.where(known[at] == keys, counts[at], 0)
