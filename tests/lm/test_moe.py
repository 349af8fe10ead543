"""Routing equals brute force and transformers' Mixtral, computes only what was chosen, and refuses what cannot be."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from llmrl.lm.balance import load_balance
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.moe import MoE, Routing, balanced, dispatch, layers_of, parameters, route, with_experts
from llmrl.lm.training import next_token_loss
from llmrl.seeds import rng


def layer(experts=8, k=2, **options):
    return MoE(16, 12, Routing(experts, k, **options), (0.3, 0.3), rng(0, "layer"))


def numbers(*shape):
    return torch.randn(shape, generator=rng(0, "numbers", shape))


def dense(moe, x):
    """Every token through every expert, those not chosen weighed by zero."""
    weights, chosen = route(moe.router(x), moe.routing.k, moe.routing.renormalise)
    gate_up, down = moe.experts.gate_up, moe.experts.down
    gate, up = torch.einsum("nd,efd->enf", x, gate_up).chunk(2, -1)
    answers = torch.einsum("enf,edf->end", F.silu(gate) * up, down)  # (E, N, D)
    return torch.einsum("end,ne->nd", answers, torch.zeros(len(x), len(down)).scatter(1, chosen, weights))


def test_four_tokens_by_hand():
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 3.0], [1.0, 4.0, 1.5], [0.0, -1.0, 1.0]])
    weights, chosen = route(logits, 2)
    assert chosen.tolist()[0] == [0, 1] and chosen.tolist()[2:] == [[1, 2], [2, 0]] and chosen[1, 0] == 2
    best = [1 / (1 + math.exp(-gap)) for gap in (1, 3, 2.5, 1)]  # softmax over the two that were chosen
    torch.testing.assert_close(weights, torch.tensor([[w, 1 - w] for w in best]))
    single, _ = route(logits, 1, renormalise=False)
    torch.testing.assert_close(single[:, 0], logits.softmax(-1).amax(-1))


@pytest.mark.parametrize(("experts", "k", "renormalise"), [(8, 2, True), (8, 1, False), (3, 3, True), (1, 1, True)])
def test_sorted_by_expert_is_the_same_as_everybody_everywhere(experts, k, renormalise):
    moe, x = layer(experts, k, renormalise=renormalise), numbers(13, 16)
    torch.testing.assert_close(moe(x), dense(moe, x))
    ours, theirs = (torch.autograd.grad(f(x).square().sum(), moe.parameters()) for f in (moe, lambda x: dense(moe, x)))
    torch.testing.assert_close(ours, theirs)


def test_transformers_mixtral():
    from transformers import MixtralConfig
    from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

    moe, x = layer(), numbers(3, 7, 16)
    sizes = {"hidden_size": 16, "intermediate_size": 12, "num_local_experts": 8, "num_experts_per_tok": 2}
    block = MixtralSparseMoeBlock(MixtralConfig(**sizes, experts_implementation="eager"))
    names = {
        "router.weight": "gate.weight",
        "experts.gate_up": "experts.gate_up_proj",
        "experts.down": "experts.down_proj",
    }
    block.load_state_dict({names[name]: weight for name, weight in moe.named_parameters()})
    torch.testing.assert_close(moe(x), block(x), rtol=0, atol=1e-5)
    assert moe(x).abs().max() > 0.01, "the numbers must be large enough to differ"


def test_a_token_costs_its_own_experts_only():
    moe, x = layer(), numbers(32, 16)
    with FlopCounterMode(display=False) as counter:
        moe(x)
    count = parameters(moe)
    assert count["total"] == sum(p.numel() for p in moe.parameters())
    assert counter.get_total_flops() == 2 * len(x) * count["active"]


def test_only_chosen_experts_learn():
    moe, x = layer(), numbers(1, 16)
    moe(x).sum().backward()
    learned = moe.experts.down.grad.flatten(1).abs().sum(1) > 0
    assert learned.nonzero().flatten().tolist() == sorted(moe.chosen[0].tolist())


def test_a_single_renormalised_choice_teaches_the_router_nothing():
    """Its weight is one whatever the router says; with the probability itself as weight the router learns."""
    for renormalise, learns in ((True, False), (False, True)):
        moe = layer(8, 1, renormalise=renormalise).double()
        moe(numbers(9, 16).double()).square().sum().backward()
        assert (moe.router.weight.grad.abs().max() > 1e-9) == learns


def test_a_bias_changes_who_is_chosen_and_not_what_he_weighs():
    logits = torch.tensor([[1.0, 0.9, 0.0]])
    weights, chosen = route(logits, 1, renormalise=False, bias=torch.tensor([0.0, 0.1, 0.0]))
    assert chosen.tolist() == [[1]] and torch.equal(weights, logits.softmax(-1)[:, 1:2])


def test_who_finds_no_place_is_dropped_and_costs_nothing():
    logits, x = torch.tensor([[3.0, 0.0]] * 4), numbers(4, 16)
    weights, chosen = route(logits, 1)
    kept = torch.tensor([[True], [True], [False], [False]])
    rows = []

    def experts(part, sizes):
        rows.append((len(part), sizes))
        return part

    experts_of_two = type("Two", (), {"__call__": lambda self, *a: experts(*a), "__len__": lambda self: 2})()
    y = dispatch(x, weights, chosen, experts_of_two, kept)
    assert rows == [(2, [2, 0])] and torch.equal(y[:2], x[:2]) and not y[2:].any()


def test_capacity_of_a_layer():
    x = numbers(64, 16)
    free, tight = layer(), layer(capacity=1.0)
    y, cut = free(x), tight(x)
    assert 0 < tight.kept.float().mean() < 1
    whole = tight.kept.all(1)
    torch.testing.assert_close(cut[whole], y[whole])
    assert not torch.allclose(cut[~whole], y[~whole])
    torch.testing.assert_close(layer(capacity=8 / 2)(x), y), "with a place for everybody nobody is dropped"


def test_a_language_model_with_experts():
    model = with_experts(TinyLM(Config(width=16, layers=2, heads=2, kv_heads=1, ffn=8)), 8, Routing(4, 2), rng(0))
    ids = torch.arange(12).view(2, 6)
    model(ids).sum().backward()
    assert all(layer.ffn.chosen.shape == (12, 2) for layer in model.layers)
    first, second = (layer.ffn.experts.gate_up for layer in model.layers)
    assert not torch.equal(first, second) and not torch.equal(first[0], first[1])


def test_the_loss_of_text_and_balance():
    model = with_experts(TinyLM(Config(width=16, layers=2, heads=2, kv_heads=1, ffn=8)), 8, Routing(4, 2), rng(0))
    ids = torch.arange(12).view(2, 6)
    mask = torch.ones_like(ids, dtype=torch.bool)
    value, text = balanced(0.5)(model, ids, mask), next_token_loss(model, ids, mask)
    spread = [load_balance(moe.logits, 2) for moe in layers_of(model)]
    assert len(spread) == 2 and value.item() == pytest.approx(text.item() + 0.5 * sum(spread).item(), rel=1e-6)
    (text_only,) = torch.autograd.grad(balanced(0.0)(model, ids, mask), model.layers[0].ffn.router.weight)
    (both,) = torch.autograd.grad(value, model.layers[0].ffn.router.weight)
    assert not torch.allclose(text_only, both)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(0, 9), st.integers(0, 99), st.booleans())
def test_weights_are_shares_of_different_experts(experts, tokens, seed, renormalise):
    logits, k = torch.randn(tokens, experts, generator=rng(seed)), 1 + seed % experts
    weights, chosen = route(logits, k, renormalise)
    assert weights.shape == chosen.shape == (tokens, k)
    assert all(len(set(row)) == k for row in chosen.tolist())
    assert (weights.diff(dim=-1) <= 0).all(), "the best comes first"
    total = weights.sum(-1)
    assert torch.allclose(total, torch.ones(tokens)) if renormalise or k == experts else (total < 1 + 1e-6).all()


@settings(deadline=None)
@given(st.one_of(st.integers(-3, 0), st.integers(5, 99), st.booleans(), st.floats(), st.none()))
def test_k_between_one_and_all(k):
    for call in (lambda: route(torch.zeros(2, 4), k), lambda: Routing(4, k)):
        with pytest.raises(ValueError, match=r"k must be a whole number from 1 to the number of experts, 4, got"):
            call()


@pytest.mark.parametrize("logits", [None, [[1.0, 2.0]], torch.zeros(3), torch.zeros(2, 3, dtype=torch.long)])
def test_scores_of_another_kind(logits):
    with pytest.raises(TypeError, match="logits must be a tensor of floats of shape"):
        route(logits, 1)


def test_scores_that_are_no_numbers():
    with pytest.raises(ValueError, match="got nan"):
        route(torch.tensor([[1.0, math.nan]]), 1)


@pytest.mark.parametrize("options", [{"experts": 0}, {"experts": 2.0}, {"capacity": 0.0}, {"capacity": math.nan}])
def test_settings_that_cannot_be(options):
    with pytest.raises(ValueError, match=next(iter(options)) + " must be"):
        Routing(**{"k": 1, **options})
