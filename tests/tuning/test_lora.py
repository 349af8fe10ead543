"""LoRA: no change at the start, merged as unmerged, frozen base, counts by formula, peft's outputs and gradients."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import lively, some_ids
from torch import nn

from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import adamw, next_token_loss, update
from llmrl.seeds import rng
from llmrl.tuning import lora


def linear(inputs=6, outputs=4, bias=False):
    layer = nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        for p in layer.parameters():
            p.copy_(torch.randn(p.shape, generator=rng(0, "linear", *p.shape)))
    return layer


def trained(model, size=0.3):
    """As if it had been trained: B is not zero any more."""
    for name, adapter in lora.adapters(model).items():
        nn.init.normal_(adapter.B, 0, size, generator=rng(1, name))
    return model


def test_four_numbers_by_hand():
    layer = nn.Linear(2, 2, bias=False)
    layer.weight.data = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    adapted = lora.LoRALinear(layer, 1, alpha=2)
    adapted.A.data, adapted.B.data = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0], [-1.0]])
    x = torch.tensor([[5.0, 1.0]])  # A x = 7, B A x = (21, -7), twice that
    assert adapted(x).tolist() == [[5 + 42, 1 - 14]]
    assert adapted.delta().tolist() == [[6, 12], [-2, -4]]


@settings(deadline=None, max_examples=20)
@given(
    inputs=st.integers(1, 9), outputs=st.integers(1, 9), batch=st.sampled_from([(), (1,), (0, 3), (2, 3)]),
    bias=st.booleans(), scaling=st.sampled_from(list(lora.SCALINGS)), alpha=st.floats(0.1, 64), data=st.data(),
)  # fmt: skip
def test_it_starts_as_the_map_and_merges_to_the_same(inputs, outputs, batch, bias, scaling, alpha, data):
    rank = data.draw(st.integers(1, min(inputs, outputs)))
    layer = linear(inputs, outputs, bias).double()
    before, x = copy.deepcopy(layer), torch.randn(*batch, inputs, dtype=torch.float64, generator=rng(2, "x"))
    adapted = lora.LoRALinear(layer, rank, alpha, scaling)
    assert torch.equal(adapted(x), before(x)) and adapted(x).shape == (*batch, outputs)
    trained(adapted)
    wanted = before(x) + adapted.scale * x @ adapted.A.T @ adapted.B.T
    torch.testing.assert_close(adapted(x), wanted)
    assert lora.merge(adapted) is adapted
    torch.testing.assert_close(adapted(x), wanted)
    torch.testing.assert_close(lora.unmerge(adapted).linear.weight, before.weight)
    assert adapted.A.dtype == adapted.B.dtype == torch.float64


def test_scale():
    scales = [lora.LoRALinear(linear(16, 16), 4, 8, scaling).scale for scaling in ("alpha/r", "rslora")]
    assert scales == [2.0, 4.0]


def test_a_begins_uniform_up_to_one_over_the_root_of_n():
    a = lora.LoRALinear(linear(400, 100), 100, 8, generator=rng(0, "A")).A
    assert a.abs().max() <= 1 / 20 and a.std().item() == pytest.approx(1 / math.sqrt(3 * 400), rel=0.02)
    again = lora.LoRALinear(linear(400, 100), 100, 8, generator=rng(0, "A")).A
    assert torch.equal(a, again)


@pytest.fixture
def model():
    return lively()


def test_only_the_named_maps_are_adapted_and_nothing_else_is_trained(model):
    logits = model(some_ids())
    assert lora.inject(model, 2, 4, ("q", "v")) is model
    assert torch.equal(model(some_ids()), logits)
    assert [name.rpartition(".")[2] for name in lora.adapters(model)] == ["q", "v"] * 2
    left = {name for name, p in model.named_parameters() if p.requires_grad}
    assert left == {f"layers.{i}.attention.{w}.{x}" for i in (0, 1) for w in "qv" for x in "AB"}


def test_a_step_moves_the_adapters_only(model):
    before = {name: p.clone() for name, p in model.named_parameters()}
    lora.inject(model, 2, 4)
    ids = some_ids()
    update(model, adamw(model, 1e-2, 0.1), next_token_loss(model, ids, torch.ones_like(ids, dtype=torch.bool)))
    lora_free = {name.replace(".linear.", "."): p for name, p in model.named_parameters()}
    assert all(torch.equal(lora_free[name], p) for name, p in before.items())
    assert all(a.B.abs().max() > 0 for a in lora.adapters(model).values())


@pytest.mark.parametrize("where", [lora.ALL, lora.ATTENTION, lora.FFN, ("k",), "down"])
def test_the_formula_counts_what_is_trained(model, where):
    names = (where,) if isinstance(where, str) else where
    assert lora.trainable(lora.inject(model, 3, 4, where)) == lora.added(model.config, 3, names)


def test_the_shapes_are_the_models():
    model = TinyLM(Config())
    assert lora.shapes(model.config) == {
        name.rpartition(".")[2]: tuple(module.weight.shape)
        for name, module in model.layers[0].named_modules() if isinstance(module, nn.Linear)
    }  # fmt: skip


def test_llama_7b_by_formula():
    llama = Config(vocab=32000, width=4096, layers=32, heads=32, kv_heads=32, ffn=11008)
    assert lora.added(llama, 8, lora.ATTENTION) == 32 * 4 * 8 * (4096 + 4096) == 8_388_608


def test_merged_unmerged_unloaded(model):
    plain = copy.deepcopy(model)
    trained(lora.inject(model, 2, 4))
    ids, wanted = some_ids(), model(some_ids())
    assert (wanted - plain(ids)).abs().max() > 0.1
    for turn in (lora.merge, lora.unmerge, lora.unload):
        torch.testing.assert_close(turn(model)(ids), wanted, atol=1e-5, rtol=1e-5)
    assert list(model.state_dict()) == list(plain.state_dict())


@pytest.mark.slow
def test_an_unloaded_model_is_an_ordinary_one(model):
    wanted = trained(lora.inject(model, 2, 4))(some_ids())
    peer = lora.unload(model).to_transformers()
    torch.testing.assert_close(peer(some_ids()).logits, wanted, atol=1e-5, rtol=1e-5)


def test_unloading_a_merged_model_does_not_merge_again(model):
    wanted = trained(lora.inject(model, 2, 4))(some_ids())
    torch.testing.assert_close(lora.unload(lora.merge(model))(some_ids()), wanted, atol=1e-5, rtol=1e-5)


def test_wrong_ways_to_merge_are_seen():
    """Merging without the scale, transposed, or twice gives other outputs."""
    adapted = trained(lora.LoRALinear(linear(5, 5), 2, 8))
    x, wanted = torch.randn(3, 5, generator=rng(0, "x")), None
    wanted, weight = adapted(x), adapted.linear.weight
    for wrong in (adapted.delta() / 4, adapted.delta().T, 2 * adapted.delta()):
        assert (x @ (weight + wrong).T - wanted).abs().max() > 0.1


def adapted_peer(model, rslora):
    """peft beside the same model, its adapters filled with ours."""
    from peft import LoraConfig, get_peft_model

    names = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    config = LoraConfig(r=3, lora_alpha=6, target_modules=names, use_rslora=rslora, task_type="CAUSAL_LM")
    peer = get_peft_model(model.to_transformers(), config)
    ours = trained(lora.inject(model, 3, 6, scaling="rslora" if rslora else "alpha/r"))
    layers = [m for m in peer.modules() if hasattr(m, "lora_A")]
    maps = ("attention.q", "attention.k", "attention.v", "attention.out", "ffn.gate", "ffn.up", "ffn.down")
    order = [f"layers.{i}.{name}" for i in (0, 1) for name in maps]
    pairs = [(lora.adapters(ours)[name], layer) for name, layer in zip(order, layers, strict=True)]
    for mine, theirs in pairs:
        theirs.lora_A["default"].weight.data.copy_(mine.A)
        theirs.lora_B["default"].weight.data.copy_(mine.B)
    return peer, pairs


@pytest.mark.slow
@pytest.mark.parametrize("rslora", [False, True])
def test_peft_gives_the_same_outputs_gradients_and_merged_weights(model, rslora):
    peer, pairs = adapted_peer(model, rslora)
    ids = some_ids()
    near = {"atol": 1e-5, "rtol": 1e-5}
    torch.testing.assert_close(peer(ids).logits, model(ids), **near)
    for net in (model, lambda ids: peer(ids).logits):
        (-token_logp(net(ids), ids).mean()).backward()
    for mine, theirs in pairs:
        torch.testing.assert_close(theirs.lora_A["default"].weight.grad, mine.A.grad, **near)
        torch.testing.assert_close(theirs.lora_B["default"].weight.grad, mine.B.grad, **near)
    peer.merge_adapter()
    lora.merge(model)
    for mine, theirs in pairs:
        torch.testing.assert_close(theirs.get_base_layer().weight, mine.linear.weight, **near)


def test_it_learns_as_another_implementation_does():
    """torch's own parametrization of W by B A, trained with the same steps, ends at the same W."""

    class Plus(nn.Module):
        def __init__(self, a, b):
            super().__init__()
            self.a, self.b = nn.Parameter(a.detach().clone()), nn.Parameter(b.detach().clone())

        def forward(self, weight):
            return weight + 4.0 * self.b @ self.a  # alpha / r = 8 / 2

    mine, other = lora.LoRALinear(linear(6, 4), 2, 8), linear(6, 4)
    other.weight.requires_grad_(False)
    nn.utils.parametrize.register_parametrization(other, "weight", Plus(mine.A, mine.B))
    x, y = torch.randn(8, 6, generator=rng(0, "x")), torch.randn(8, 4, generator=rng(0, "y"))
    for net in (mine, other):
        optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], lr=0.01)
        for _ in range(10):
            optimizer.zero_grad()
            (net(x) - y).square().mean().backward()
            optimizer.step()
    assert mine.B.abs().max() > 0.01
    torch.testing.assert_close(mine.linear.weight + mine.delta(), other.weight, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("rank", [0, 5, -1, 2.0, True, None])
def test_a_rank_that_does_not_fit(rank):
    with pytest.raises(
        ValueError, match=r"rank must be a whole number from 1 to 4 for a matrix of shape \(4, 6\), got"
    ):
        lora.LoRALinear(linear(), rank, 8)


@pytest.mark.parametrize("alpha", [0, -1, math.inf, math.nan, "8", True])
def test_an_alpha_that_is_no_size(alpha):
    with pytest.raises(ValueError, match="alpha must be a number above 0, got .* leaves B A as it is"):
        lora.LoRALinear(linear(), 2, alpha)


def test_an_unknown_scaling():
    with pytest.raises(ValueError, match="scaling must be one of alpha/r, rslora, got 'alpha'"):
        lora.LoRALinear(linear(), 2, 8, "alpha")


def test_beside_something_else():
    with pytest.raises(TypeError, match="stands beside a torch.nn.Linear, got Embedding: give it the linear map"):
        lora.LoRALinear(nn.Embedding(4, 4), 2, 8)


def test_a_rank_too_large_for_one_matrix_changes_nothing(model):
    with pytest.raises(ValueError, match=r"rank must be .* 1 to 12 for a matrix of shape \(12, 24\), got 13"):
        lora.inject(model, 13, 8)  # keys and values are narrower than queries
    assert all(p.requires_grad for p in model.parameters()) and not any(
        isinstance(m, lora.LoRALinear) for m in model.modules()
    )


@pytest.mark.parametrize("where", ["query", ("q", "lm_head"), ()])
def test_maps_that_are_not_there(model, where):
    with pytest.raises(ValueError, match="where must name linear maps of the model, got .* it has q, out, k, v, gate"):
        lora.inject(model, 2, 4, where)


def test_injecting_twice(model):
    lora.inject(model, 2, 4)
    with pytest.raises(ValueError, match=r"has adapters already: unload\(model\) merges and removes them"):
        lora.inject(model, 2, 4)


def test_merging_twice(model):
    lora.merge(lora.inject(model, 2, 4))
    with pytest.raises(ValueError, match=r"layers.0.attention.q is merged already: a second time would add"):
        lora.merge(model)


def test_unmerging_what_is_not_merged(model):
    with pytest.raises(ValueError, match="is not merged: there is nothing to take out"):
        lora.unmerge(lora.inject(model, 2, 4))


@pytest.mark.parametrize("turn", [lora.merge, lora.unmerge, lora.unload])
def test_without_adapters(model, turn):
    with pytest.raises(ValueError, match=r"TinyLM has no LoRALinear in it: inject\(model, rank, alpha\)"):
        turn(model)


def test_unloading_a_single_layer():
    with pytest.raises(ValueError, match=r"unload takes the model around the adapters.*merge\(it\).linear is the map"):
        lora.unload(lora.LoRALinear(linear(), 2, 4))
