"""One model, told positions in several ways: each against the same thing written out, with padding and with a cache."""

import dataclasses
import math

import pytest
import torch
from lively import SMALL, lively, some_ids

from llmrl.lm import positions
from llmrl.lm.cache import new_cache
from llmrl.lm.model import TinyLM
from llmrl.lm.scheme import Alibi, Rotary, Scheme, Sinusoidal, retold

SCHEMES = {
    "nothing": Scheme(),
    "rope": Rotary(),
    "stretched": Rotary((0.5, 0.1, 0.02), 1.2),
    "sinusoidal": Sinusoidal(),
    "alibi": Alibi(4),
}
each = pytest.mark.parametrize("scheme", SCHEMES.values(), ids=SCHEMES)


def told(scheme, **sizes):
    return lively(dataclasses.replace(SMALL, scheme=scheme, **sizes)).double()


def attention_by_hand(layer, x, scores_of):
    """Attention in plain sums, with the scores of a scheme.  x (B, T, D)"""
    split = lambda y: y.unflatten(-1, (-1, layer.head_width)).transpose(1, 2)  # noqa: E731
    q, k, v = split(layer.q(x)), split(layer.k(x)), split(layer.v(x))
    k, v = (y.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for y in (k, v))
    scores = scores_of(q, k) / math.sqrt(layer.head_width)
    ahead = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    weights = scores.masked_fill(ahead, -torch.inf).softmax(-1)
    return layer.out((weights @ v).transpose(1, 2).flatten(2))


def scores(scheme, q, k):
    where = torch.arange(q.shape[2])
    if isinstance(scheme, Rotary):
        theta = scheme.frequencies or positions.frequencies(q.shape[-1]).tolist()
        angle = where[:, None] * torch.tensor(theta)
        cos, sin = (scheme.strength * f(angle).repeat(1, 2) for f in (torch.cos, torch.sin))
        turn = lambda y: y * cos + torch.cat([-y[..., 3:], y[..., :3]], -1) * sin  # noqa: E731
        return turn(q) @ turn(k).mT
    plain = q @ k.mT
    if isinstance(scheme, Alibi):
        distance = where[:, None] - where
        plain = plain - math.sqrt(q.shape[-1]) * positions.alibi_slopes(4)[:, None, None] * distance
    return plain


@each
def test_attention_is_what_the_scheme_says(scheme):
    model, ids = told(scheme), some_ids()
    x = model.embed(ids)
    if isinstance(scheme, Sinusoidal):
        x = x * math.sqrt(24) + positions.sinusoidal(torch.arange(11), 24)
    torch.testing.assert_close(model.residuals(ids)[0], x)
    for layer in model.layers:
        x = x + attention_by_hand(layer.attention, layer.attention_norm(x), lambda q, k: scores(scheme, q, k))
        x = x + layer.ffn(layer.ffn_norm(x))
    torch.testing.assert_close(model.residuals(ids)[-1], x, atol=1e-5, rtol=1e-5)


@each
@pytest.mark.parametrize("pieces", [(11,), (1,) * 11, (4, 1, 6)])
@pytest.mark.parametrize("padding", [0, 3])
def test_the_cache_changes_nothing(scheme, pieces, padding):
    model, ids = told(scheme), some_ids()
    mask = (torch.arange(11) >= padding * torch.tensor([[0], [1], [1]])) if padding else None
    cache, parts, seen = new_cache(model, 3, 11), [], 0
    for n in pieces:
        parts.append(model(ids[:, seen : seen + n], None if mask is None else mask[:, : seen + n], cache))
        seen += n
    real = torch.ones(3, 11, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], model(ids, mask)[real], atol=1e-5, rtol=1e-5)


@each
def test_left_padding_changes_nothing(scheme):
    model, ids = told(scheme), some_ids()
    padded = torch.cat([torch.zeros(3, 5, dtype=torch.long), ids], dim=1)
    mask = torch.arange(16).expand(3, 16) >= 5
    torch.testing.assert_close(model(padded, mask)[:, 5:], model(ids), atol=1e-5, rtol=1e-5)


@each
def test_nobody_looks_ahead(scheme):
    model, ids = told(scheme), some_ids()
    changed = ids.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 40
    torch.testing.assert_close(model(ids)[:, :7], model(changed)[:, :7])


def test_only_a_model_that_is_told_positions_notices_a_swap():
    """With one layer and no positions, the last token sees a bag of tokens."""
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    swapped = torch.tensor([[2, 1, 3, 4, 5]])
    for scheme in SCHEMES.values():
        model = told(scheme, layers=1)
        same = torch.allclose(model(ids)[0, -1], model(swapped)[0, -1])
        assert same == (type(scheme) is Scheme)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@each
def test_half_precision_and_its_gradients(scheme, dtype):
    model = TinyLM(dataclasses.replace(SMALL, scheme=scheme)).to(dtype)
    logits = model(some_ids())
    logits.float().logsumexp(-1).sum().backward()
    assert logits.dtype == dtype and model.layers[0].attention.q.weight.grad.isfinite().all()


def test_retold_shares_weights_and_leaves_the_model_alone():
    model, ids = told(Rotary()), some_ids()
    before, other = model(ids), retold(model, Rotary((0.5, 0.1, 0.02)))
    assert other.layers is model.layers and model.config.scheme == Rotary()
    assert torch.equal(model(ids), before) and not torch.allclose(other(ids), before)
    assert torch.equal(retold(other, Rotary())(ids), before)


def test_the_hub_has_no_name_for_other_schemes(tmp_path):
    for scheme in (Alibi(4), Rotary((0.5, 0.1, 0.02)), Scheme(), Sinusoidal()):
        for use in (lambda m: m.save(tmp_path), lambda m: m.to_transformers()):
            with pytest.raises(ValueError, match=r"scheme must be Rotary\(\) in the hub's format, got .*keep"):
                use(lively(dataclasses.replace(SMALL, scheme=scheme)))


@pytest.mark.parametrize(
    "scheme, message",
    [
        ("rope", "scheme must be a Scheme, got 'rope'"),
        (Alibi(3), "Alibi must have one slope per head, 4, got 3"),
        (Rotary((1.0, 0.1)), "frequencies must be one per pair of a head, 3, got 2"),
        (None, "scheme must be a Scheme, got None"),
    ],
)
def test_schemes_that_do_not_fit_are_named(scheme, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SMALL, scheme=scheme)


@each
def test_a_text_longer_than_the_context_is_refused(scheme):
    with pytest.raises(ValueError, match="a text of 33 tokens does not fit in a context of 32"):
        told(scheme)(torch.zeros(1, 33, dtype=torch.long))
