r"""What wrong labels do to a loss on margins: with endless data, and with as many labels as there are.

A label that is flipped with probability p shows a pair in the right order $1-p$ of the time. A loss that itself expects
a share of flips, cDPO's $\epsilon$, mixes the two directions once more; what remains is a weight q on the right
direction, and the margin with the least mean loss is its log odds. `votes` and `learned` are the same with n labels:
a table policy over a few answers, trained by any loss, whose gold reward is a sum and no estimate.
Left out: noise that depends on the pair, as that of tired people does.

Shapes: P prompts, Y answers to each.
"""

import torch


def right_share(noise, flip=0.0):
    r"""$q=(1-\epsilon)(1-p)+\epsilon p$: the weight a loss puts on the right order.  noise p (N,) -> (N,)"""
    noise = torch.as_tensor(noise, dtype=torch.float64)
    if not (((0 <= noise) & (noise <= 1)).all() and 0 <= flip < 0.5):
        raise ValueError(
            f"noise must be in [0, 1] and flip in [0, 0.5), got {noise.tolist()} and {flip}: both are shares of labels"
        )
    return (1 - flip) * (1 - noise) + flip * noise


def best_margin(noise, flip=0.0):
    r"""$\log\frac{q}{1-q}$, the margin with the least mean loss; infinite where no label is wrong.  (N,) -> (N,)"""
    return torch.logit(right_share(noise, flip))


def votes(reward, n, noise, generator):
    """How often each answer was preferred to each other by n labels on random pairs.  reward (P, Y) -> (P, Y, Y)"""
    if reward.dim() != 2 or reward.shape[1] < 2 or not (n >= 1 and 0 <= noise <= 1):
        raise ValueError(
            f"reward must be (P, Y) with two answers or more, n at least 1 and noise in [0, 1], got "
            f"{tuple(reward.shape)}, {n} and {noise}: a label compares two answers"
        )
    prompts, answers = reward.shape
    first, second = _pairs(answers)
    drawn = torch.randint(len(first), (prompts, n), generator=generator)
    one, other = first[drawn], second[drawn]  # (P, n)
    right = reward.gather(1, one) > reward.gather(1, other)
    as_shown = right ^ (torch.rand(prompts, n, generator=generator) < noise)
    cell = torch.where(as_shown, one * answers + other, other * answers + one)
    return torch.zeros(prompts, answers**2).scatter_add_(1, cell, torch.ones(prompts, n)).view(-1, answers, answers)


def learned(wins, loss, steps=120, rate=0.15):
    """A table policy trained on votes, from a uniform reference, by a loss on four log-probabilities (B,).

    wins (P, Y, Y) -> log-probabilities of the answers (P, Y)
    """
    if wins.dim() != 3 or wins.shape[1] != wins.shape[2] or not (wins >= 0).all() or not wins.any(2).any(1).all():
        raise ValueError(
            f"wins must be (P, Y, Y) counts with at least one vote per prompt, got {tuple(wins.shape)}: "
            f"votes(reward, n, noise, generator) makes them"
        )
    first, second = _pairs(wins.shape[-1])
    weight = wins[:, first, second] / wins.sum((1, 2))[:, None]  # of each comparison of a prompt
    logits = torch.zeros(wins.shape[:2], requires_grad=True)
    ref_logp = torch.zeros(weight.numel())  # uniform: the same for both sides, whatever it is
    optimizer = torch.optim.Adam([logits], lr=rate)
    for _ in range(steps):
        logp = logits.log_softmax(-1)
        each = loss(logp[:, first].flatten(), logp[:, second].flatten(), ref_logp, ref_logp)
        optimizer.zero_grad()
        (weight.flatten() * each).sum().backward()
        optimizer.step()
    return logits.detach().log_softmax(-1)


def _pairs(answers):
    """Every ordered pair of two different answers, as two lists of indices."""
    return (~torch.eye(answers, dtype=torch.bool)).nonzero().T
