"""Three ways to take length out: what each leaves of a reward that is nothing but length, and of one that is not."""

from functools import partial

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm.lively import lively

from llmrl.lm.training import Plan
from llmrl.lm.training import train as fit
from llmrl.rlhf import length_control, planted
from llmrl.rlhf.length_control import (
    TwoHeads,
    balanced,
    correlation,
    disentangled_loss,
    filtered,
    residualised,
    slope,
    words,
)
from llmrl.rlhf.reward_model import padded, pair_batches
from llmrl.seeds import rng


def won_by_longer(rows):
    both = [(words(row["chosen"]), words(row["rejected"])) for row in rows]
    return [chosen > rejected for chosen, rejected in both if chosen != rejected]


def test_in_balanced_rows_the_longer_answer_wins_half_the_time():
    rows = planted.labelled(600, 0, planted.likes_words)
    kept = balanced(rows)
    assert sum(won_by_longer(rows)) > 0.6 * len(won_by_longer(rows))
    assert 2 * sum(won_by_longer(kept)) == len(won_by_longer(kept)) > 100
    assert [row for row in rows if row in kept] == kept  # in their order


def test_filtered_rows_are_of_nearly_one_length():
    kept = filtered(planted.labelled(200, 0), 3)
    assert kept and all(abs(words(row["chosen"]) - words(row["rejected"])) <= 3 for row in kept)


def test_the_slope_is_that_of_least_squares():
    score, length = torch.randn(50, generator=rng(0, "s")), torch.randint(5, 60, (50,), generator=rng(0, "l"))
    design = torch.stack([length.float(), torch.ones(50)], 1)
    fitted = torch.linalg.lstsq(design, score[:, None]).solution[0].item()
    assert slope(score, length).item() == pytest.approx(fitted, abs=1e-4)


@given(st.lists(st.integers(1, 100), min_size=3, max_size=20, unique=True), st.floats(-2, 2))
def test_what_is_left_has_nothing_to_do_with_length(lengths, rate):
    length = torch.tensor(lengths)
    score = rate * length.double() + torch.randn(len(lengths), generator=rng(0, "noise"), dtype=torch.float64)
    left = residualised(score, length)
    assert left.mean().item() == pytest.approx(score.mean().item(), abs=1e-6)
    assert slope(left, length).item() == pytest.approx(0, abs=1e-8)


def test_correlation_is_pearsons_and_zero_for_a_constant():
    a, b = torch.randn(2, 30, generator=rng(0, "ab"))
    assert correlation(a, b).item() == pytest.approx(torch.corrcoef(torch.stack([a, b]))[0, 1].item(), abs=1e-5)
    assert correlation(torch.ones(5), b[:5]).item() == 0.0


def lengthy(n, seed):
    """Pairs of random texts of which the longer one won, whatever it says; each begins with token 4."""
    dice, pairs = rng(seed, "lengthy"), []
    for _ in range(n):
        short, more = torch.randint(3, 7, (1,), generator=dice).item(), torch.randint(2, 6, (1,), generator=dice).item()
        pairs.append(tuple([4, *torch.randint(8, 40, (k,), generator=dice).tolist()] for k in (short + more, short)))
    return pairs


def test_two_heads_share_the_work():
    model = TwoHeads(lively(), 0)
    draw = pair_batches(lengthy(200, 0), 16, lambda step: rng(0, "draw", step))
    list(fit(model, draw, Plan(steps=60, lr=1e-2, warmup=5), loss=partial(disentangled_loss, weight=1.0)))
    ids, mask = padded([side for pair in lengthy(100, 1) for side in pair])
    with torch.no_grad():
        quality, length = model(ids, mask).unbind(1)
    tokens = mask.sum(1).float()
    assert correlation(length, tokens) > 0.6 > 0.3 > correlation(quality, tokens).abs()
    torch.testing.assert_close(model.score([ids[0, : mask[0].sum()].tolist()]), quality[:1], atol=1e-5, rtol=1e-5)


def test_the_loss_of_two_heads_by_hand():
    model, (ids, mask) = TwoHeads(lively(), 1), padded([[5, 6, 7], [8, 9], [10], [11, 12, 13, 14]])
    both = model(ids, mask)
    margin = both.sum(1)[:2] - both.sum(1)[2:]
    tokens = torch.tensor([3.0, 2.0, 1.0, 4.0])
    apart = [torch.corrcoef(torch.stack([both[:, head], tokens]))[0, 1] for head in (0, 1)]
    w = model.heads.weight
    wanted = torch.nn.functional.softplus(-margin).mean()
    wanted = wanted + 0.3 * (apart[0].abs() - apart[1] + (w[0] * w[1]).sum().abs())
    torch.testing.assert_close(disentangled_loss(model, ids, mask, 0.3), wanted, atol=1e-3, rtol=1e-3)


def test_bad_input():
    with pytest.raises(ValueError, match="one length per scored answer"):
        length_control.slope(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="all lengths are 4"):
        residualised(torch.zeros(3), torch.tensor([4, 4, 4]))
