"""Fingerprints: equal for equal numbers only, and who moved is found."""

import copy

import pytest
import torch
from lm.lively import lively, some_ids
from torch import nn

from llmrl.lm.training import adamw, next_token_loss, update
from llmrl.rlhf.fingerprint import fingerprint, observed, parts


def test_a_copy_has_the_same_fingerprint_until_one_bit_changes():
    model = lively()
    twin = copy.deepcopy(model)
    assert fingerprint(model) == fingerprint(twin) == fingerprint(twin.state_dict()) and len(fingerprint(model)) == 12
    with torch.no_grad():
        weight = twin.layers[0].attention.q.weight
        weight[0, 0] = torch.nextafter(weight[0, 0], torch.tensor(9.0))
    assert fingerprint(model) != fingerprint(twin)
    assert [n for n, h in parts(model).items() if h != parts(twin)[n]] == ["layers.0.attention.q.weight"]


@pytest.mark.parametrize("change", [
    lambda m: m.double(), lambda m: m.bfloat16(), lambda m: setattr(m, "weight", nn.Parameter(m.weight.T)),
    lambda m: setattr(m, "weight", nn.Parameter(m.weight.view(2, 6))), lambda m: m.weight.data.neg_(),
])  # fmt: skip
def test_dtype_shape_and_sign_count(change):
    model = nn.Linear(3, 4, bias=False)
    nn.init.zeros_(model.weight)
    twin = copy.deepcopy(model)
    change(twin)
    assert fingerprint(model) != fingerprint(twin)


def test_layout_in_memory_does_not_count():
    model = nn.Linear(3, 4, bias=False)
    twin = copy.deepcopy(model)
    twin.weight = nn.Parameter(model.weight.detach().T.contiguous().T)
    assert not twin.weight.is_contiguous() and fingerprint(model) == fingerprint(twin)


def test_numbers_without_axes_and_buffers_count():
    model = nn.BatchNorm1d(2)
    before = fingerprint(model)
    model.num_batches_tracked += 1
    assert fingerprint(model) != before


def test_who_moved():
    policy = lively()
    reference, alias = copy.deepcopy(policy), policy
    ids = some_ids()
    with observed(policy=policy, reference=reference, alias=alias) as found:
        loss = next_token_loss(policy, ids, torch.ones_like(ids, dtype=torch.bool))
        update(policy, adamw(policy, 1e-3), loss)
    assert found["policy"].before == found["reference"].before == found["reference"].after
    assert found["policy"].moved and not found["reference"].moved
    assert found["alias"].after == found["policy"].after != found["policy"].before  # no copy, so it moved along
    assert len(found["policy"].moved) == found["policy"].weights == len(list(policy.parameters()))


def test_models_without_numbers():
    with pytest.raises(ValueError, match="Identity holds no weights"):
        fingerprint(nn.Identity())
    with pytest.raises(ValueError, match="weight is on the meta device"):
        fingerprint(nn.Linear(2, 2, device="meta"))
