r"""Bradley and Terry's model of comparisons: from votes back to the scores behind them.

Each answer has a score, and the better of two wins with probability $P(i\succ j)=\sigma(s_i-s_j)$ (Bradley and Terry
1952, after Zermelo 1929). The scores that make the votes likeliest are found by Newton's method: the likelihood is
concave, with one top as soon as every answer can be reached from every other by a chain of wins (Ford 1957).
Only differences are ever learned: a constant added to all scores changes nothing, two groups never compared have no
common zero, and a group that always wins would be infinitely better.
Left out: ties, and preferences that run in circles.

Shapes: Y answers.
"""

import torch

from llmrl.preference.losses import preference_loss


def margins(scores):
    """$s_i-s_j$ for every pair.  (.., Y) -> (.., Y, Y)"""
    return scores[..., :, None] - scores[..., None, :]


def win_probability(scores):
    r"""$P(i\succ j)=\sigma(s_i-s_j)$; 0 for an answer against itself, which is no comparison.  (Y) -> (Y, Y)"""
    wins = margins(scores).sigmoid()
    return wins.fill_diagonal_(0.0) if wins.dim() == 2 else wins


def vote(scores, times, generator):
    """How often each answer won against each other, after so many votes on every pair.  (Y) -> wins (Y, Y)"""
    if not isinstance(times, int) or times < 1:
        raise ValueError(f"times must be a whole number of at least 1, got {times!r}: it counts the votes on each pair")
    above = torch.ones(len(scores), len(scores), dtype=torch.bool).triu(1)
    chance = win_probability(scores)
    first = torch.binomial(torch.full_like(chance, float(times)), chance, generator=generator) * above  # (Y, Y)
    return first + (times - first.T) * above.T


def log_likelihood(scores, wins):
    r"""$\sum_{ij}n_{ij}\log\sigma(s_i-s_j)$, where i won $n_{ij}$ times against j.  (Y), (Y, Y) -> a number"""
    check(wins, scores)
    return -(wins * preference_loss(margins(scores))).sum()


def information(scores, wins):
    r"""Minus the second derivatives of the log-likelihood: $\sum_j n\,p(1-p)$ on the diagonal.  -> (Y, Y)"""
    check(wins, scores)
    p = win_probability(scores)
    weight = (wins + wins.T) * p * (1 - p)
    return weight.sum(1).diag() - weight


def fit(wins, steps=50):
    """The likeliest scores, their mean 0.  wins (Y, Y) -> (Y)"""
    check(wins)
    groups = connected(wins)
    if len(groups) > 1:
        raise ValueError(
            f"votes must lead from every answer to every other by a chain of wins, here they leave groups {groups}: "
            f"between them no difference is likeliest; ask about pairs across the groups, or fit each group alone"
        )
    scores, everyone = wins.new_zeros(len(wins)), torch.ones_like(wins) / len(wins)
    for _ in range(steps):
        slope = (wins - (wins + wins.T) * win_probability(scores)).sum(1)
        step = torch.linalg.solve(information(scores, wins) + everyone, slope)  # everyone fixes the mean at 0
        while log_likelihood(scores + step, wins) < log_likelihood(scores, wins) - 1e-12:
            step = step / 2
        scores = scores + step
        if step.abs().max() < 1e-12:
            break
    return scores


def spread(scores, wins):
    """The standard error of every difference of fitted scores, by the inverse of the information.  -> (Y, Y)"""
    covariance = torch.linalg.pinv(information(scores, wins), hermitian=True)
    own = covariance.diagonal()
    return (own[:, None] + own - 2 * covariance).clamp(min=0).sqrt()


def connected(wins):
    """Groups of answers that reach each other by chains of wins, both ways.  -> lists of indices"""
    reach = (wins > 0) | torch.eye(len(wins), dtype=torch.bool)
    for _ in range(len(wins).bit_length()):
        reach = (reach.double() @ reach.double()) > 0  # chains twice as long
    both = reach & reach.T
    return [list(group) for group in dict.fromkeys(tuple(row.nonzero().flatten().tolist()) for row in both)]


def check(wins, scores=None):
    """wins are counts of one answer against another, scores are numbers, one per answer."""
    if wins.dim() != 2 or wins.shape[0] != wins.shape[1] or len(wins) < 2:
        raise ValueError(f"wins must be (Y, Y) for two answers or more, got {tuple(wins.shape)}")
    if not (wins.isfinite() & (wins >= 0)).all() or wins.diagonal().any():
        raise ValueError("wins must be counts of at least 0, and 0 on the diagonal: nothing wins against itself")
    if scores is not None and (scores.shape != wins.shape[:1] or not scores.isfinite().all()):
        raise ValueError(
            f"scores must be a number for each of {len(wins)} answers, got {tuple(scores.shape)} with "
            f"{int((~scores.isfinite()).sum())} that are not finite"
        )
