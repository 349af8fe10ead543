r"""Finding flipped labels: a small judge that never saw a pair says how sure it is of the label.

The judge reads the frozen model's own features of an answer, the mean of its last hidden vectors, and learns one weight
per feature by the pairwise loss, on all pairs but a fold; the fold is then judged by a stranger. Labels that the judge
finds least likely come first. Nothing here knows which labels are wrong, and the judge learned from wrong ones, too.
Left out: tuning the whole model as a judge, and repeating the round after the worst labels are gone.

Shapes: N pairs, D width.
"""

import torch

from llmrl.lm.logprobs import masked_mean
from llmrl.lm.training import pad_samples
from llmrl.preference.losses import preference_loss


@torch.no_grad()
def features(model, samples, batch=64):
    """The mean of the last hidden vectors over each answer.  (ids, mask) samples -> (N, D)"""
    found = []
    for i in range(0, len(samples), batch):
        ids, answer = pad_samples(samples[i : i + batch])
        hidden = model.hidden(ids)  # (B, T, D)
        found.append(masked_mean(hidden, answer[..., None].expand_as(hidden), 1))
    return torch.cat(found)


def fit(differences, decay=1e-2):
    r"""The weights w with the least mean of $-\log\sigma(w\cdot d)+\frac{\text{decay}}{2}|w|^2$.  (N, D) -> (D,)"""
    weights = torch.zeros(differences.shape[1], requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = preference_loss(differences @ weights).mean() + decay / 2 * weights.square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()


def held_out_margins(differences, folds=5, decay=1e-2, generator=None):
    """How far each pair's label is believed by a judge that learned from the other folds.  (N, D) -> (N,)"""
    n = len(differences)
    if not 2 <= folds <= n:
        raise ValueError(f"folds must be from 2 to the number of pairs, got {folds} for {n} pairs: 5 is usual")
    if not differences.isfinite().all():
        raise ValueError("differences of features must be finite: look for weights that have become nan")
    fold = torch.randperm(n, generator=generator) % folds  # (N,)
    margins = torch.empty(n)
    for k in range(folds):
        margins[fold == k] = differences[fold == k] @ fit(differences[fold != k], decay)
    return margins


def suspects(margins, count):
    """The rows whose labels are believed least, the worst first."""
    return margins.argsort()[:count].tolist()


def precision_recall(found, planted):
    """The share of what was found that is planted, and of what is planted that was found.  two collections of rows"""
    found, planted = set(found), set(planted)
    if not planted:
        raise ValueError("nothing was planted, so there is no recall: plant one row or more")
    hits = len(found & planted)
    return (hits / len(found) if found else 1.0), hits / len(planted)
