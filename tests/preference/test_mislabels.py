"""Flipped labels: a judge that never saw a pair finds more than chance, and no judge sees what it judges."""

import pytest
import torch
from tiny import PAIRS, bpe, talker

from llmrl.preference import mislabels
from llmrl.preference.train import rendered
from llmrl.seeds import rng

N, D = 120, 6


def labelled(seed, share=0.15):
    """Differences along a hidden direction, some of them turned around."""
    generator = rng(seed, "mislabels")
    x = torch.randn(N, D, generator=generator)
    x = x * (x @ torch.tensor([2.0, -1, 0, 0, 1, 0])).sign()[:, None]
    planted = torch.randperm(N, generator=generator)[: int(share * N)].tolist()
    x[planted] = -x[planted]
    return x, planted


@pytest.mark.parametrize("seed", range(4))
def test_planted_flips_come_first(seed):
    x, planted = labelled(seed)
    margins = mislabels.held_out_margins(x, generator=rng(seed, "folds"))
    precision, recall = mislabels.precision_recall(mislabels.suspects(margins, len(planted)), planted)
    assert precision == recall > 0.6


def test_no_judge_has_seen_what_it_judges():
    """Its own label turned around turns a pair's margin around and changes nothing else in it."""
    x, _ = labelled(0)
    before = mislabels.held_out_margins(x, generator=rng(0, "folds"))
    x[7] = -x[7]
    assert mislabels.held_out_margins(x, generator=rng(0, "folds"))[7] == -before[7]
    assert (x[7] @ mislabels.fit(x)) != -before[7]


def test_the_weights_are_the_least_of_the_loss():
    x, _ = labelled(1)
    weights = mislabels.fit(x.double().float()).double()
    slope = -(x.double() * (-(x.double() @ weights)).sigmoid()[:, None]).mean(0) + 1e-2 * weights
    assert slope.abs().max() < 1e-3


def test_features_are_the_mean_over_the_answer_alone():
    model, samples = talker(), [pair[0] for pair in rendered(PAIRS, bpe())]
    found = mislabels.features(model, samples, batch=2)
    for (ids, mask), feature in zip(samples, found):
        hidden = model.hidden(torch.tensor([ids]))[0]
        torch.testing.assert_close(feature, hidden[torch.tensor(mask)].mean(0), atol=1e-4, rtol=1e-4)


def test_precision_and_recall_by_hand():
    assert mislabels.precision_recall([1, 2, 3, 4], [2, 4, 6]) == (0.5, 2 / 3)
    assert mislabels.precision_recall([], [1]) == (1.0, 0.0)
    with pytest.raises(ValueError, match="nothing was planted"):
        mislabels.precision_recall([1], [])


def test_bad_input():
    with pytest.raises(ValueError, match="folds must be from 2 .* got 5 for 3 pairs"):
        mislabels.held_out_margins(torch.zeros(3, 2))
    with pytest.raises(ValueError, match="must be finite"):
        mislabels.held_out_margins(torch.full((9, 2), torch.nan))
