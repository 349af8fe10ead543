"""The picture of a model against what hooks, counts and the drawn page itself say."""

import dataclasses
from functools import cache
from itertools import combinations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids
from torch import nn

from llmrl.lesson import style
from llmrl.lm.architecture import bands, branches, draw, folded, stack_of, trace, tree
from llmrl.lm.cache import new_cache
from llmrl.lm.model import Config, TinyLM
from llmrl.rlhf.reward_model import RewardModel

IDS = some_ids(2, 7)
REAL = torch.ones(2, 7, dtype=torch.bool)


def named(records, name):
    return [r for r in records if r.name == name]


def count(model):
    return sum(p.numel() for p in model.parameters())


def test_shapes_are_those_that_a_hook_sees():
    model, seen = lively(), {}
    hooks = [
        module.register_forward_hook(lambda m, args, out, name=name: seen.update({name: (args[0].shape, out.shape)}))
        for name, module in model.named_modules()
    ]
    model(IDS)
    for hook in hooks:
        hook.remove()
    found = {r.name: (r.inputs, r.outputs) for r in trace(model, IDS) if r.kind != "function"}
    assert found == seen


def test_looking_changes_nothing_and_leaves_nothing_behind():
    model = lively()
    before = model(IDS)
    trace(model, IDS)
    assert torch.equal(model(IDS), before)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())
    with pytest.raises(ValueError, match="ids must be in"):
        trace(model, IDS + 1000)
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@given(st.integers(1, 3), st.sampled_from([(2, 1), (2, 2), (4, 2)]), st.integers(1, 9), st.integers(1, 5))
@settings(max_examples=12)
def test_parameters_add_up_in_any_size(layers, heads, ffn, T):
    config = Config(vocab=11, width=4 * heads[0], layers=layers, heads=heads[0], kv_heads=heads[1], ffn=ffn, context=8)
    model = TinyLM(config)
    records = trace(model, some_ids(1, T, config))
    assert records[0].parameters == count(model)
    assert sum(r.parameters for r in records if r.depth == 1) == count(model)
    for r in records:
        if r.kind != "function":
            assert r.parameters == count(model.get_submodule(r.name))
    parts = [sum(p.record.parameters for p in parts) for _, parts in bands(tree(records))]
    assert sum(parts) == count(model) and len(stack_of(tree(records))) == layers


def test_the_output_layer_reads_the_embedding_again_and_costs_nothing():
    (last,) = named(trace(lively(), IDS), "linear")
    assert (last.tied, last.parameters, last.outputs) == ("embed", 0, (2, 7, 40))


def test_both_additions_of_every_layer_are_seen_and_join_the_stream():
    model = lively()
    records = trace(model, IDS)
    for i in range(SMALL.layers):
        (layer,), adds = named(records, f"layers.{i}"), named(records, f"layers.{i}.add")
        assert len(adds) == 2
        assert adds[0].reads == layer.reads and adds[1].reads == adds[0].writes and adds[1].writes == layer.writes
    assert len(named(records, "layers.1.attention.scaled_dot_product_attention")) == 1


def test_a_forward_pass_with_a_cache_computes_one_position():
    model, ids = lively(), some_ids(1, 6)
    cache = new_cache(model, 1, 6)
    with torch.no_grad():
        model(ids[:, :-1], cache=cache)
    assert {r.outputs[:2] for r in trace(model, ids[:, -1:], cache=cache) if r.name.count(".") == 1} == {(1, 1)}


def test_transformers_llama_has_the_same_bands():
    model = lively()
    ours, theirs = (bands(tree(trace(m, IDS))) for m in (model, model.to_transformers()))
    totals = [[sum(p.record.parameters for p in parts) for _, parts in found] for found in (ours, theirs)]
    for found in (ours, theirs):
        assert [name for name, _ in found] == ["Input layer", "Decoder stack × 2", "Output layer"]
    assert totals[0] == totals[1]
    assert theirs[2][1][-1].record.tied == "model.embed_tokens"


def test_a_head_of_its_own_is_counted():
    model = RewardModel(lively())
    records = trace(model, IDS, REAL)
    assert records[0].parameters == count(model) and records[0].outputs == (2,)
    assert named(records, "head")[0].tied == ""


def test_a_layer_that_runs_twice_is_counted_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.same = nn.Linear(3, 3)

        def forward(self, x):
            return self.same(self.same(x))

    records = trace(Twice(), torch.zeros(2, 3))
    assert [r.parameters for r in records] == [12, 12, 0] and [r.tied for r in records] == ["", "", "same"]


class Block(nn.Module):
    """Norm behind the sum, as in the first transformers."""

    def __init__(self):
        super().__init__()
        self.work, self.norm, self.more, self.last = (nn.Linear(4, 4) for _ in range(4))

    def forward(self, x):
        x = self.norm(x + self.work(x))
        bias = x + 1 + torch.ones(4)  # no branch
        return self.last(self.more(x) + x) + 0 * bias


def test_what_replaces_the_stream_is_told_from_what_adds_to_it():
    whole = tree(trace(Block(), torch.zeros(2, 4)))
    found = [([p.last for p in on], [p.last for p in branch]) for on, branch, _ in branches(whole.inside)]
    assert found[:2] == [([], ["work"]), (["norm"], ["more"])]


def test_only_what_is_alike_is_folded():
    model = TinyLM(dataclasses.replace(SMALL, layers=4))
    model.layers[2].ffn.up = nn.Linear(SMALL.width, SMALL.ffn)  # with a bias
    stack = stack_of(tree(trace(model, IDS)))
    assert [[p.label for p in run] for run in folded(stack)] == [["layers.0", "layers.1"], ["layers.2"], ["layers.3"]]


@cache
def models():
    model = lively(dataclasses.replace(SMALL, layers=4))
    wide = Config(width=512, heads=16, layers=1, ffn=4096)
    mlp = nn.Sequential(nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 2))
    return {
        "ours": (model, IDS),
        "one layer": (TinyLM(Config(layers=1)), IDS),
        "transformers": (model.to_transformers(), IDS),
        "long texts, a wide model": (TinyLM(wide), torch.ones(64, 111, dtype=torch.long)),
        "reward model": (RewardModel(model), IDS, REAL),
        "no stack": (mlp, torch.zeros(3, 7)),
        "one box": (nn.Linear(7, 2), torch.zeros(3, 7)),
    }


@pytest.mark.parametrize("which", models())
def test_the_page_is_legible(which):
    """No text over another, none cut off, none below 11 points."""
    style.use()
    fig = draw(trace(*models()[which]))
    texts = [t for t in fig.axes[0].texts if t.get_text()]
    fig.canvas.draw()
    boxes = [t.get_window_extent() for t in texts]
    for (a, s), (b, t) in combinations(zip(texts, boxes), 2):
        assert not s.overlaps(t), (a.get_text(), b.get_text())
    assert all(fig.bbox.contains(*corner) for box in boxes for corner in box.corners())
    assert min(t.get_fontsize() for t in texts) >= 11
    assert fig.get_size_inches()[0] == style.WIDTH


def test_every_box_carries_its_shape_and_its_parameters():
    style.use()
    model = lively(dataclasses.replace(SMALL, layers=3))
    said = [t.get_text() for t in draw(trace(model, IDS), title="one claim").axes[0].texts]
    per_layer = count(model.layers[0])
    for words in ("one claim", "token ids", "logits", "2 × 7", "2 × 7 × 40", "2 × 4 × 7 × 6", "layers.1 to layers.2"):
        assert words in said, words
    assert f"{3 * per_layer:,}" in said and f"{2 * per_layer:,}" in said and "tied to embed" in said
    assert said.count("add to the stream") == 2


def test_errors_show_the_way_out():
    with pytest.raises(TypeError, match=r"torch module and its inputs, got list: trace\(model, ids\)"):
        trace([1, 2])
    with pytest.raises(ValueError, match=r"nothing to draw, got no records: draw\(trace\(model, ids\)\)"):
        draw([])
