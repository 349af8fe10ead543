"""The same model in our hands and in peft's, with the same adapters, for tests of LoRA's relatives."""

import copy

import torch

from llmrl.seeds import rng

NAMES = {"attention.q": "self_attn.q_proj", "attention.k": "self_attn.k_proj", "attention.v": "self_attn.v_proj",
         "attention.out": "self_attn.o_proj", "ffn.gate": "mlp.gate_proj", "ffn.up": "mlp.up_proj",
         "ffn.down": "mlp.down_proj"}  # fmt: skip


def linear(inputs=10, outputs=7, bias=False, seed=0):
    """A linear map whose weights are of the size of one."""
    layer = torch.nn.Linear(inputs, outputs, bias=bias)
    with torch.no_grad():
        for p in layer.parameters():
            p.normal_(generator=rng(seed, "linear", *p.shape))
    return layer


def draw(*shape, seed=0):
    """Numbers to put in or to pull back."""
    return torch.randn(*shape, generator=rng(seed, "draw", *shape))


def lively_adapter(layer, seed=1):
    """The same adapter with A and B as large as after a training."""
    with torch.no_grad():
        for name in ("A", "B"):
            getattr(layer, name).normal_(0, 0.5, generator=rng(seed, name))
    return layer


def in_peft(model, config):
    """peft around a copy of a TinyLM as transformers has it, with its own first adapters."""
    from peft import get_peft_model

    return get_peft_model(copy.deepcopy(model).to_transformers(), config)


def theirs(peft_model, name):
    """peft's layer for the layer of ours that is called layers.1.attention.q."""
    _, number, last = name.split(".", 2)
    return peft_model.base_model.model.model.get_submodule(f"layers.{number}.{NAMES[last]}")
