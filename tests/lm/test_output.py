"""The output layer and the parameter count, against the model they describe."""

import pytest
import torch

from llmrl.lm.logprobs import log_softmax
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.output import next_token
from llmrl.lm.size import parameters


@pytest.mark.parametrize("config", [Config(), Config(vocab=11, width=12, layers=3, heads=3, kv_heads=1, ffn=5)])
def test_the_count_adds_up_to_the_models(config):
    model = TinyLM(config)
    counted = parameters(config)
    assert sum(counted.values()) == sum(p.numel() for p in model.parameters())
    assert counted["norms"] == sum(p.numel() for p in model.parameters() if p.dim() == 1)
    assert counted["embedding"] == model.embed.weight.numel()
    assert counted["ffn"] == sum(p.numel() for name, p in model.named_parameters() if ".ffn." in name)


@torch.no_grad()
def test_the_output_layer_is_the_models():
    model = TinyLM(Config(layers=1))
    ids = torch.arange(12).view(2, 6)
    probabilities, best = next_token(model.hidden(ids), model.embed.weight)
    assert torch.allclose(probabilities, model(ids)[:, -1].softmax(-1), atol=1e-6)
    assert torch.allclose(probabilities.sum(-1), torch.ones(2))
    assert torch.equal(best, model(ids)[:, -1].argmax(-1))


@pytest.mark.parametrize("shape", [(3,), (2, 5), (2, 3, 4), (0, 3)])
def test_log_softmax_is_torchs(shape):
    logits = 1e4 * torch.randn(shape, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(log_softmax(logits), logits.log_softmax(-1), atol=1e-3)


def test_log_softmax_leaves_what_is_masked_masked():
    assert log_softmax(torch.tensor([0.0, -torch.inf])).tolist() == [0.0, -torch.inf]
