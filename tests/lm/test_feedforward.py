"""Plain and gated networks at equal size."""

import pytest
import torch
import torch.nn.functional as F

from llmrl.lm.feedforward import with_ffn
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

SMALL = Config(vocab=20, width=16, layers=2, heads=2, kv_heads=1, ffn=24, context=16)


def test_all_kinds_have_equally_many_parameters_and_the_same_other_weights():
    models = {kind: with_ffn(SMALL, kind, rng(0)) for kind in ("swiglu", "relu", "gelu")}
    assert len({sum(p.numel() for p in model.parameters()) for model in models.values()}) == 1
    for model in models.values():
        assert torch.equal(model.embed.weight, models["swiglu"].embed.weight)
        assert torch.equal(model.layers[1].attention.q.weight, models["swiglu"].layers[1].attention.q.weight)
    ids = torch.arange(5)[None]
    assert torch.equal(models["swiglu"](ids), TinyLM(SMALL, rng(0))(ids))


@pytest.mark.parametrize("kind, activation", [("relu", F.relu), ("gelu", F.gelu)])
def test_a_plain_network_is_two_matrices_around_one_curve(kind, activation):
    ffn, x = with_ffn(SMALL, kind, rng(0)).layers[0].ffn, torch.randn(3, 16, generator=rng(1))
    torch.testing.assert_close(ffn(x), activation(x @ ffn.up.weight.T) @ ffn.down.weight.T)


def test_what_cannot_be_built_is_refused():
    with pytest.raises(ValueError, match="swiglu, relu, gelu, got 'tanh'"):
        with_ffn(SMALL, "tanh")
    with pytest.raises(ValueError, match="even, got 23"):
        with_ffn(Config(width=16, heads=2, kv_heads=1, ffn=23), "relu")
