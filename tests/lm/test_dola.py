"""DoLa against its equations written out with torch's own divergence."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import lively, some_ids

from llmrl.lm.decoding import greedy
from llmrl.lm.dola import DoLa, contrast_layers, jensen_shannon
from llmrl.seeds import rng

MODEL = lively()


def divergence(p, q):
    m = (p + q) / 2
    return (F.kl_div(m.log(), p, reduction="sum") + F.kl_div(m.log(), q, reduction="sum")) / 2


@settings(max_examples=30)
@given(st.integers(0, 500), st.floats(0.1, 5))
def test_jensen_shannon_is_torchs(seed, spread):
    p, q = (torch.randn(2, 9, generator=rng(seed), dtype=torch.double) * spread).softmax(-1)
    assert jensen_shannon(p.log(), q.log()) == pytest.approx(float(divergence(p, q)), abs=1e-9)
    assert jensen_shannon(p.log(), q.log()) == pytest.approx(float(jensen_shannon(q.log(), p.log())))


def test_jensen_shannon_at_its_ends():
    logp = torch.tensor([1.0, 0.0]).log()
    assert jensen_shannon(logp, logp) == 0
    assert jensen_shannon(logp, logp.flip(0)) == pytest.approx(0.6931472)


def test_every_position_has_its_own_layer_and_its_own_plausible_tokens():
    last, early = torch.randn(4, 3, 7, generator=rng(0)), torch.randn(2, 4, 3, 7, generator=rng(1))
    scores, chosen = contrast_layers(last, early, 0.2)
    for b in range(4):
        for t in range(3):
            p, q = last[b, t].softmax(-1), early[:, b, t].softmax(-1)
            far = max(range(2), key=lambda c: float(divergence(p, q[c])))
            assert chosen[b, t] == far
            for v in range(7):
                expected = float((p[v] / q[far, v]).log()) if p[v] >= 0.2 * p.max() else -torch.inf
                assert float(scores[b, t, v]) == pytest.approx(expected, abs=1e-5)
    assert set(chosen.flatten().tolist()) == {0, 1}


def test_a_fact_that_settles_late_wins_over_a_habit():
    last = torch.tensor([0.5, 0.4, 0.099, 0.001]).log()
    early = torch.tensor([[0.5, 0.4, 0.099, 0.001], [0.7, 0.1, 0.1999, 0.0001]]).log()
    scores, layer = contrast_layers(last, early)
    assert (int(last.argmax()), int(scores.argmax()), int(layer)) == (0, 1, 1)
    assert scores[3] == -torch.inf, "ten times as probable as before, and still implausible"


def test_it_decodes_like_any_model():
    ids, dola = some_ids(2, 6), DoLa(MODEL, [1])
    logits, streams = MODEL(ids), MODEL.residuals(ids)
    early = MODEL.unembed(MODEL.norm(streams[1]))
    expected = (logits.log_softmax(-1) - early.log_softmax(-1)).masked_fill(
        logits.softmax(-1) < 0.1 * logits.softmax(-1).amax(-1, keepdim=True), -torch.inf
    )
    torch.testing.assert_close(dola(ids), expected, atol=1e-4, rtol=1e-4)
    assert greedy(dola, ids, 5).shape == (2, 11)


@pytest.mark.parametrize("layers", [[2], [-1], [], [0, 5]])
def test_layers_are_before_the_last(layers):
    with pytest.raises(ValueError, match="layers must be some of 0 to 1, got"):
        DoLa(MODEL, layers)


def test_plausible_is_a_share():
    with pytest.raises(ValueError, match=r"plausible must be in \(0, 1\], got 0"):
        contrast_layers(torch.zeros(3), torch.zeros(1, 3), 0)
