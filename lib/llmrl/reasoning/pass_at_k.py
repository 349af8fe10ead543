r"""pass@k: the chance that one of k answers is right, from n answers of which c were right.

If all k drawn answers are wrong, they are among the n-c wrong ones, so $1-\binom{n-c}{k}/\binom nk$ (Chen et al. 2021,
arXiv:2107.03374), the mean over all ways to choose k of the n. It has no bias for any k up to n. Putting the share c/n
into $1-(1-p)^k$ has one: too low, most where p is small. The binomials overflow; their ratio is a product of c factors
that do not. Left out: choosing among the k without a verifier (see `search`).

Shapes: P prompts, n answers to each.
"""

import torch


def pass_at_k(right, n, k):
    r"""$1-\prod_{i=n-c+1}^{n}(1-k/i)$ of each prompt.  right (P,) counts of right answers among n -> (P,)"""
    right = _checked(right, n)
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= n:
        raise ValueError(f"k must be a whole number from 1 to n = {n}, got {k!r}: draw more answers to know pass@{k}")
    i = torch.arange(1, n + 1, dtype=torch.float64)
    factors = torch.where(i > n - right[:, None], 1 - k / i, 1.0)  # (P, n); one of them is 0 where n - c < k
    return 1 - factors.prod(1)


def plugged_in(right, n, k):
    r"""$1-(1-c/n)^k$, the estimate with a bias.  right (P,) -> (P,)"""
    return 1 - (1 - _checked(right, n) / n) ** k


def curve(right, n, ks):
    """The mean over prompts of pass@k and its standard error, for each k.  right (P,) -> two lists"""
    found = torch.stack([pass_at_k(right, n, k) for k in ks])  # (K, P)
    errors = found.std(1) / found.shape[1] ** 0.5 if found.shape[1] > 1 else torch.full((len(found),), torch.nan)
    return found.mean(1).tolist(), errors.tolist()


def tries_for(right, n, target):
    """The smallest k whose mean pass@k reaches the target; None where even k = n does not.  right (P,)"""
    if not 0 < target <= 1:
        raise ValueError(f"target must be a share in (0, 1], got {target!r}: the pass@1 of another model, for example")
    reached = (k for k in range(1, n + 1) if pass_at_k(right, n, k).mean() >= target - 1e-12)
    return next(reached, None)


def _checked(right, n):
    right = torch.as_tensor(right, dtype=torch.float64)
    if not isinstance(n, int) or isinstance(n, bool) or n < 1:
        raise ValueError(f"n must be a whole number of at least 1, got {n!r}: the answers drawn for each prompt")
    if right.dim() != 1 or not ((right >= 0) & (right <= n) & (right == right.round())).all():
        raise ValueError(
            f"right must hold one count from 0 to n = {n} per prompt, got {str(right.tolist())[:60]}: "
            f"how many of a prompt's {n} answers were right"
        )
    return right
