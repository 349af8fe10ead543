"""Several texts in one row: each is computed as if it stood alone, for every scheme of positions."""

import dataclasses

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm import batch
from llmrl.lm.cache import new_cache
from llmrl.lm.scheme import Alibi, Rotary, Scheme, Sinusoidal

SCHEMES = [Rotary(), Rotary((0.5, 0.1, 0.02), 1.2), Scheme(), Sinusoidal(), Alibi(4)]
ROWS = torch.tensor([[1, 1, 1, 2, 2, 3, 3, 3, 3, 0, 0], [1] * 11, [0, 0, 2, 5, 5, 5, 0, 6, 6, 6, 0]])
runs = st.lists(st.lists(st.integers(1, 5), min_size=1, max_size=4), min_size=1, max_size=3)


def numbered(rows):
    """Lengths of texts per row -> segments, padded on the right."""
    longest = max(map(sum, rows))
    flat = [[n for n, length in enumerate(row, 1) for _ in range(length)] for row in rows]
    return torch.tensor([row + [0] * (longest - len(row)) for row in flat])


@pytest.mark.parametrize("scheme", SCHEMES, ids=str)
def test_a_text_in_a_shared_row_is_computed_as_if_alone(scheme):
    model, ids = lively(dataclasses.replace(SMALL, scheme=scheme)).double(), some_ids()
    packed = model(ids, segments=ROWS)
    assert packed.isfinite().all()
    for row, segments, logits in zip(ids, ROWS, packed):
        for n in segments.unique():
            here = segments == n
            if n:
                torch.testing.assert_close(logits[here], model(row[here][None])[0], atol=1e-6, rtol=1e-6)
    assert not torch.allclose(packed[0, 3:], model(ids)[0, 3:])  # without segments the texts read one another


def test_gradients_of_a_shared_row_are_those_of_its_texts():
    model, ids = lively().double(), some_ids()
    real = ROWS > 0
    model(ids, segments=ROWS).logsumexp(-1)[real].sum().backward()
    packed = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    for row, segments in zip(ids, ROWS):
        for n in segments[segments > 0].unique():
            model(row[segments == n][None]).logsumexp(-1).sum().backward()
    for name, p in model.named_parameters():
        torch.testing.assert_close(packed[name], p.grad, msg=name)


@given(runs)
@settings(max_examples=40, deadline=None)
def test_who_looks_at_whom_and_where_everyone_stands_written_out(rows):
    segments = numbered(rows)
    may, where = batch.blocks(segments), batch.restart(segments)
    for b, row in enumerate(segments.tolist()):
        for t, n in enumerate(row):
            assert where[b, t] == t - row.index(n)
            assert may[b, t].tolist() == [s <= t and row[s] == n for s in range(len(row))]


def test_one_text_per_row_needs_no_segments():
    model, ids = lively(), some_ids()
    torch.testing.assert_close(model(ids, segments=torch.ones_like(ids)), model(ids), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(
        model.residuals(ids, segments=torch.ones_like(ids)), model.residuals(ids), atol=1e-5, rtol=1e-5
    )


def test_numbers_are_names_only():
    model, ids = lively(), some_ids()
    assert torch.equal(model(ids, segments=ROWS), model(ids, segments=ROWS * 7))


@pytest.mark.parametrize("wrong", ["1", [[1, 1]], torch.ones(3, 11), torch.ones(3, 11, dtype=torch.bool), ROWS[:, :5]])
def test_segments_of_another_kind_or_shape(wrong):
    with pytest.raises(ValueError, match=r"segments must be torch.long of shape \(3, 11\) like ids, got .*1, 2, 3"):
        lively()(some_ids(), segments=wrong)


@pytest.mark.parametrize("row", [[1, 1, 2, 1], [2, 2, 1, 1], [1, 0, 1, 0], [3, 3, -1, 0], [0, -2, 0, 0]])
def test_segments_that_do_not_count_up(row):
    with pytest.raises(ValueError, match="segments must count up, .* got -?[0-9] at position [1-3] of row 1"):
        lively()(some_ids(2, 4), segments=torch.tensor([[1, 1, 1, 1], row]))


def test_segments_come_alone():
    model, ids = lively(), some_ids()
    with pytest.raises(ValueError, match="segments must come alone, got a mask beside them"):
        model(ids, torch.ones_like(ids, dtype=torch.bool), segments=ROWS)
    with pytest.raises(ValueError, match="segments must come alone, got a cache beside them"):
        model(ids, cache=new_cache(model, 3, 11), segments=ROWS)
