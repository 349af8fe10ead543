"""LoRA's first A and B: the sizes they claim, which gradients they leave, and peft's own draws."""

import math

import pytest
import torch
from lm.lively import lively, some_ids
from torch import nn

from llmrl.lm.logprobs import token_logp
from llmrl.seeds import rng
from llmrl.tuning import lora, lora_init


@pytest.mark.parametrize("how", list(lora_init.DEVIATION))
@pytest.mark.parametrize(("rank", "inputs"), [(4, 20_000), (16, 5_000)])
def test_a_is_as_large_as_its_name_says(how, rank, inputs):
    a = lora_init.first_a(rank, inputs, how, rng(0, how))
    assert a.shape == (rank, inputs)
    assert a.std().item() == pytest.approx(lora_init.DEVIATION[how](rank, inputs), rel=0.02)
    assert a.mean().item() == pytest.approx(0, abs=0.02 * a.std().item())
    highest = a.abs().max() * math.sqrt(inputs)
    assert (highest <= 1) == (how == "kaiming")


def norms(a, b):
    """How long the gradients of A and of B are at the start."""
    model = lora_init.restart(lora.inject(lively(), 2, 4), a, b, rng(0, "start"))
    ids = some_ids()
    (-token_logp(model(ids), ids).mean()).backward()
    found = lora.adapters(model).values()
    return [torch.stack([getattr(x, name).grad.norm() for x in found]).max().item() for name in "AB"]


def test_which_gradients_there_are_at_the_start():
    usual, neither, both, other = norms("kaiming", 0.0), norms(None, 0.0), norms("kaiming", 0.1), norms(None, 0.1)
    assert usual[0] == 0 < usual[1] and other[1] == 0 < other[0]
    assert neither == [0, 0] and min(both) > 0


def test_the_gradients_are_those_of_w_times_the_other():
    layer = nn.Linear(5, 4, bias=False)
    adapted = lora_init.restart(lora.LoRALinear(layer, 2, 6), b=0.5, generator=rng(0, "B"))
    layer.weight.requires_grad_(True)
    adapted(torch.randn(7, 5, generator=rng(0, "x"))).square().sum().backward()
    grad = layer.weight.grad
    wanted = lora_init.factor_gradients(grad, adapted.A, adapted.B, adapted.scale)
    torch.testing.assert_close((adapted.A.grad, adapted.B.grad), wanted)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "theirs"), [("kaiming", True), ("gaussian", "gaussian")])
def test_peft_begins_with_the_same_sizes(how, theirs):
    from peft import LoraConfig, get_peft_model

    rank, inputs = 8, 4000
    config = LoraConfig(r=rank, lora_alpha=8, target_modules=["0"], init_lora_weights=theirs)
    a = get_peft_model(nn.Sequential(nn.Linear(inputs, 16)), config).base_model.model[0].lora_A["default"].weight
    assert a.std().item() == pytest.approx(lora_init.DEVIATION[how](rank, inputs), rel=0.03)


def test_an_unknown_start():
    with pytest.raises(ValueError, match="how must be one of kaiming, gaussian, sqrt, got 'xavier'"):
        lora_init.restart(lora.inject(lively(), 2, 4), "xavier")
