"""Spectra: a change of known rank, a diagonal by hand, the best cut by torch's own, and what is refused."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import lively
from torch import nn

from llmrl.seeds import rng
from llmrl.tuning import lora, spectrum


def random(*shape, seed=0):
    return torch.randn(*shape, generator=rng(seed, "spectrum", *shape))


def test_by_hand():
    values = spectrum.singular_values(torch.diag(torch.tensor([3.0, -4.0, 0.0])))
    assert values.tolist() == pytest.approx([4, 3, 0])
    assert spectrum.energy(values).tolist() == pytest.approx([16 / 25, 1, 1])
    assert [spectrum.rank_for(values, share) for share in (0.5, 0.64, 0.65, 0.99)] == [1, 1, 2, 2]
    assert spectrum.stable_rank(values) == pytest.approx(25 / 16)


@settings(deadline=None, max_examples=20)
@given(outputs=st.integers(1, 8), inputs=st.integers(1, 8), data=st.data())
def test_what_holds_for_every_change(outputs, inputs, data):
    delta = random(outputs, inputs, seed=data.draw(st.integers(0, 99)))
    values, n = spectrum.singular_values(delta), min(outputs, inputs)
    energy = spectrum.energy(values)
    assert values.shape == energy.shape == (n,) and (energy.diff() >= 0).all()
    assert energy[-1].item() == pytest.approx(1) and 1 <= spectrum.stable_rank(values) <= n + 1e-6
    rank = data.draw(st.integers(1, n))
    cut = spectrum.truncate(delta, rank)
    assert torch.linalg.matrix_rank(cut) == rank
    left = ((delta - cut).square().sum() / delta.square().sum()).item()
    assert left == pytest.approx(1 - energy[rank - 1].item(), abs=1e-5)
    share = data.draw(st.floats(0.01, 0.99))
    needed = spectrum.rank_for(values, share)
    assert energy[needed - 1] >= share and (needed == 1 or energy[needed - 2] < share)


def test_no_other_change_of_that_rank_is_nearer():
    delta = random(6, 5)
    best = (delta - spectrum.truncate(delta, 2)).norm()
    for seed in range(20):
        basis = torch.linalg.qr(random(6, 2, seed=seed))[0]
        assert (delta - basis @ (basis.T @ delta)).norm() > best


def test_the_change_of_an_adapter_has_its_rank():
    start, tuned = lively(), lora.inject(lively(), 2, 4, ("v",))
    for adapter in lora.adapters(tuned).values():
        nn.init.normal_(adapter.B, generator=rng(0, "B"))
    found = spectrum.deltas(lora.unload(tuned), start)
    assert set(found) == {name for name, m in start.named_modules() if isinstance(m, nn.Linear)}
    ranks = {name: int(torch.linalg.matrix_rank(delta, rtol=1e-4)) for name, delta in found.items()}
    assert {rank for name, rank in ranks.items() if name.endswith(".v")} == {2}
    assert {rank for name, rank in ranks.items() if not name.endswith(".v")} == {0}


def test_models_of_two_shapes():
    with pytest.raises(ValueError, match=r"must have the same linear maps.*after unload\(model\) if it has adapters"):
        spectrum.deltas(lora.inject(lively(), 2, 4), lively())
    with pytest.raises(ValueError, match="must have the same linear maps, got none"):
        spectrum.deltas(nn.ReLU(), nn.ReLU())


@pytest.mark.parametrize("bad", [torch.tensor([[1.0, float("nan")]]), torch.tensor([[float("inf")]]), torch.ones(3)])
def test_no_matrix_of_numbers(bad):
    with pytest.raises(ValueError, match="a change must be one matrix of finite numbers, got (shape|1 entries)"):
        spectrum.singular_values(bad)


def test_no_change():
    values = spectrum.singular_values(torch.zeros(3, 2))
    for question in (spectrum.energy, spectrum.stable_rank, lambda v: spectrum.rank_for(v, 0.9)):
        with pytest.raises(ValueError, match="no energy to share out: compare two different models"):
            question(values)


@pytest.mark.parametrize("share", [0, 1, 99, float("nan")])
def test_a_share_in_percent(share):
    with pytest.raises(ValueError, match="share must be between 0 and 1, got .*: 0.99 asks for"):
        spectrum.rank_for(torch.ones(3), share)


@pytest.mark.parametrize("rank", [0, 4])
def test_a_cut_to_a_rank_that_is_not_there(rank):
    with pytest.raises(ValueError, match="rank must be from 1 to 3 for a change of"):
        spectrum.truncate(torch.ones(3, 5), rank)
