r"""The best text there is: search that cannot miss it.

With V tokens and N steps there are $V^N$ texts. `exhaustive` scores them all, which is possible for toys only. But a
text never gets more probable by going on, so a beginning that is already less probable than some finished text can be
dropped unseen: `pruned` starts from the greedy text, keeps every beginning at least as probable, and is just as exact.
At most $1/\pi(\mathrm{greedy})$ beginnings can be that probable after any step, for their probabilities add up to one
at most. Left out: stop tokens, and scores other than the plain sum of log-probabilities.

Shapes: R texts followed so far, T positions, V vocabulary, N steps.
"""

import torch

from llmrl.lm import batch
from llmrl.lm.decoding import check_max_new, greedy
from llmrl.lm.logprobs import token_logp

MOST = 2**18  # texts; the square of our vocabulary
AT_ONCE = 1024  # texts that the model reads at a time
SLACK = 1e-4  # nats; the same text scored in two ways may differ by rounding


@torch.no_grad()
def exhaustive(model, ids, max_new):
    """Every text that continues ids (1, T), and its log-probability, best first.  -> (R, T + max_new), (R,)"""
    check(ids, max_new)
    possible = int((model(ids)[0, -1] > -torch.inf).sum())
    refuse_more_than_most(possible**max_new, f"{possible} tokens and {max_new} steps make ")
    return follow(model, ids, max_new, -torch.inf)


@torch.no_grad()
def pruned(model, ids, max_new):
    """The texts at least as probable as the greedy one, best first: no text is better than the first.

    ids (1, T) -> (R, T + max_new), (R,)
    """
    check(ids, max_new)
    return follow(model, ids, max_new, text_logp(model, greedy(model, ids, max_new), max_new) - SLACK)


def follow(model, ids, max_new, least):
    """Grow all texts token by token and drop those below `least`, a log-probability, and the impossible."""
    logp = torch.zeros(1, device=ids.device)
    for _ in range(max_new):
        logits = torch.cat([model(some)[:, -1] for some in ids.split(AT_ONCE)])  # (R, V)
        total = logp[:, None] + logits.log_softmax(-1)
        text, token = ((total >= least) & (total > -torch.inf)).nonzero(as_tuple=True)
        refuse_more_than_most(len(text), "")
        ids, logp = torch.cat([ids[text], token[:, None]], dim=1), total[text, token]
    order = logp.argsort(descending=True, stable=True)
    return ids[order], logp[order]


@torch.no_grad()
def text_logp(model, ids, new):
    r"""$\sum_t\log\pi(y_t\mid y_{<t})$ over the last `new` tokens.  ids (B, T) -> (B,)"""
    return token_logp(model(ids), ids)[:, -new:].sum(-1)


def check(ids, max_new):
    batch.check_ids(ids)
    check_max_new(max_new)
    if len(ids) != 1:
        raise ValueError(f"ids must be one text of shape (1, T), got {tuple(ids.shape)}: call once per text")


def refuse_more_than_most(texts, because):
    if texts > MOST:
        raise ValueError(
            f"{because}{texts:,} texts to follow, {MOST:,} are the most: fewer tokens or steps make fewer, `pruned` "
            f"drops what cannot win, and beam search follows as many as you say"
        )
