"""The bill of a training step: by hand, byte for byte against autograd and the meter, and against published sizes."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lm.lively import SMALL, lively

from llmrl.lm.attention import attend, causal_mask
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.saved import saved
from llmrl.lm.training import adamw, next_token_loss
from llmrl.perf import memory
from llmrl.perf.memory import NF4, RECIPES, Recipe, rows_that_fit, states
from llmrl.perf.peak import Meter
from llmrl.perf.recompute import planned, segments
from llmrl.seeds import rng

LLAMA_7B = Config(vocab=32000, width=4096, layers=32, heads=32, kv_heads=32, ffn=11008, context=4096)
LLAMA_70B = Config(vocab=32000, width=8192, layers=80, heads=64, kv_heads=8, ffn=28672, context=4096)


def batch(B, T, config=SMALL):
    ids = torch.arange(B * T).view(B, T) % config.vocab
    return ids, torch.ones_like(ids, dtype=torch.bool)


def test_states_by_hand():
    assert states(10, Recipe(2, 2, 8, 4)) == {"weights": 20, "gradients": 20, "optimizer": 120}
    assert states(10, Recipe(2, 2, 8, 4), frozen=7.0) == {"weights": 27, "gradients": 20, "optimizer": 120}
    assert [recipe.total for recipe in RECIPES.values()] == [16, 16, 10, 8]


@pytest.mark.parametrize("steps", [1, 3])
def test_states_are_what_torch_holds(steps):
    model, optimizer = lively(), None
    optimizer = adamw(model, 1e-3)
    for _ in range(steps):
        optimizer.zero_grad()
        next_token_loss(model, *batch(2, 8)).backward()
        optimizer.step()
    size = lambda tensors: sum(x.numel() * x.element_size() for x in tensors)  # noqa: E731
    averages = [x for state in optimizer.state.values() for x in state.values() if x.dim()]
    held = {"weights": size(model.parameters()), "gradients": size(p.grad for p in model.parameters()),
            "optimizer": size(averages)}  # fmt: skip
    assert held == states(memory.whole(SMALL), RECIPES["float32"])


SIZES = st.tuples(st.integers(1, 3), st.integers(2, 9), st.sampled_from([(4, 4), (4, 2), (4, 1)]), st.integers(1, 3))


@given(SIZES, st.integers(5, 30))
@settings(max_examples=25, deadline=None)
def test_what_is_kept_is_predicted_to_the_byte(sizes, ffn):
    B, T, (heads, kv_heads), layers = sizes
    config = replace(SMALL, heads=heads, kv_heads=kv_heads, layers=layers, ffn=ffn)
    model, (ids, mask) = lively(config), batch(B, T, config)
    found = sum(s.bytes for s in saved(lambda: next_token_loss(model, ids, mask), model.parameters(), backward=False))
    assert found == sum(memory.kept(config, B, T).values())


def test_large_products_keep_the_same():
    config = replace(SMALL, context=256)
    model, (ids, mask) = lively(config), batch(8, 256, config)
    found = sum(s.bytes for s in saved(lambda: next_token_loss(model, ids, mask), model.parameters(), backward=False))
    assert found == sum(memory.kept(config, 8, 256).values())


@pytest.mark.parametrize("segment", [1, 2])
@pytest.mark.parametrize("vocab", [50, 2000])
def test_the_peak_with_checkpoints_lies_in_the_last_segment_or_at_the_logits(vocab, segment):
    config = replace(SMALL, vocab=vocab, width=64, ffn=176, heads=4, kv_heads=2, layers=4)
    model, (ids, mask) = TinyLM(config, rng(0, "checkpoints")), batch(8, 16, config)
    held = [*model.parameters()]
    for p in model.parameters():
        p.grad = torch.zeros_like(p)
        held.append(p.grad)
    with planned(model, segments(4, segment)), Meter(*held, ids, mask) as meter:
        fixed = meter.live
        next_token_loss(model, ids, mask).backward()
    assert meter.peak - fixed == pytest.approx(memory.checkpointed(config, 8, 16, segment=segment), rel=0.03)


def test_half_the_precision_keeps_half_of_what_is_counted_per_token():
    full, half = memory.kept(SMALL, 4, 16), memory.kept(SMALL, 4, 16, size=2)
    assert all(full[name] == 2 * half[name] for name in full if name != "ids") and full["ids"] == half["ids"]


@pytest.mark.parametrize(("B", "T"), [(4, 32), (8, 32), (2, 24)])
@pytest.mark.parametrize("accumulating", [False, True])
def test_the_peak_of_a_step_is_predicted(B, T, accumulating):
    config = replace(SMALL, vocab=64)
    model, (ids, mask) = lively(config), batch(B, T, config)
    optimizer = adamw(model, 1e-3)
    next_token_loss(model, ids, mask).backward()
    optimizer.step()
    if not accumulating:
        optimizer.zero_grad()
    averages = [x for state in optimizer.state.values() for x in state.values() if x.dim()]
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    with Meter(*model.parameters(), *averages, *gradients, ids, mask) as meter:
        next_token_loss(model, ids, mask).backward()
    assert meter.peak == pytest.approx(memory.step_peak(config, B, T, accumulating=accumulating), rel=0.01)


def test_attention_weights_where_they_are_kept():
    B, T, config = 2, 12, SMALL
    q, k, v = (torch.randn(B, h, T, 6, requires_grad=True) for h in (4, 2, 2))
    plain = saved(lambda: attend(q, k, v, causal_mask(T)).sum(), (q, k, v), backward=False)
    scores = [s for s in plain if s.shape[-2:] == (T, T) and s.bytes == B * 4 * T * T * 4]
    assert len(scores) == 1, "softmax keeps its result, once"
    assert memory.layer_bytes(config, B, T, scores=True) - memory.layer_bytes(config, B, T) == scores[0].bytes
    with_scores = memory.kept(config, B, T, scores=True)
    assert with_scores["attention"] - memory.kept(config, B, T)["attention"] == config.layers * scores[0].bytes


def test_llamas_sizes_are_the_published_ones():
    assert memory.whole(LLAMA_7B, tied=False) == 6_738_415_616
    assert memory.whole(LLAMA_70B, tied=False) == 68_976_648_192


@pytest.mark.slow
def test_transformers_counts_the_same():
    from transformers import LlamaConfig, LlamaForCausalLM

    small = replace(LLAMA_70B, layers=2)
    names = {"vocab_size": 32000, "hidden_size": 8192, "num_hidden_layers": 2, "num_attention_heads": 64,
             "num_key_value_heads": 8, "intermediate_size": 28672, "tie_word_embeddings": False}  # fmt: skip
    with torch.device("meta"):
        peer = LlamaForCausalLM(LlamaConfig(**names))
    assert sum(p.numel() for p in peer.parameters()) == memory.whole(small, tied=False)


def test_a_frozen_base():
    norms = (2 * 80 + 1) * 8192
    matrices = memory.whole(LLAMA_70B, tied=False) - norms - 2 * 32000 * 8192
    assert memory.frozen_bytes(LLAMA_70B, NF4) == pytest.approx(
        matrices * 4.127 / 8 + 2 * (norms + 524_288_000), rel=1e-4
    )
    assert memory.frozen_bytes(LLAMA_7B) == 2 * memory.whole(LLAMA_7B, tied=False)


@given(st.integers(1, 10**6), st.integers(0, 10**6), st.integers(1, 10**5))
@settings(deadline=None)
def test_rows_fit_and_twice_as_many_do_not(space, fixed, row):
    rows = rows_that_fit(space, fixed, row)
    assert rows == 0 or (fixed + rows * row <= space and rows & (rows - 1) == 0)
    assert fixed + max(1, 2 * rows) * row > space


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Recipe(32, 4, 8), "weight must be bytes for one number, from 0 to 16, got 32"),
        (lambda: Recipe(4, "4", 8), "gradient must be bytes"),
        (lambda: memory.kept(SMALL, 0, 8), "B must be a whole number of at least 1, got 0"),
        (lambda: memory.kept(SMALL, 2, 2.5), "T must be a whole number of at least 1, got 2.5"),
        (lambda: rows_that_fit(100, 10, 0), "row must be the bytes that one more sequence takes"),
    ],
)
def test_bad_input(call, words):
    with pytest.raises(ValueError, match=words):
        call()
