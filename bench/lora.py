"""One step of LoRA against peft around transformers' Llama, on the same weights, adapters, ids and optimizer."""

import torch

from bench.contest import Contest, agree, row
from bench.training import sizes, stepper
from llmrl.lm.llama import names
from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import TinyLM
from llmrl.seeds import rng
from llmrl.tuning import lora

RANK, ALPHA = 8, 16


def peers(config):
    """Our model with adapters, and peft with the same ones."""
    from peft import LoraConfig, get_peft_model

    model = TinyLM(config, rng(0, "bench", "weights"))
    settings = LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules="all-linear", task_type="CAUSAL_LM")
    peer = get_peft_model(model.to_transformers().train(), settings)
    theirs = {ours.removesuffix(".weight"): name.removesuffix(".weight") for ours, name in names(config.layers)}
    lora.inject(model, RANK, ALPHA, generator=rng(0, "bench", "A"))
    for name, adapter in lora.adapters(model).items():
        peer.get_submodule(f"base_model.model.{theirs[name]}").lora_A["default"].weight.data.copy_(adapter.A)
    return model, peer


@row("lora.step")
def against_peft(quick):
    """Rank 8 beside every matrix of every layer: forward, loss, backward and optimizer."""
    config, B, T = sizes(quick)
    ids = torch.randint(1, config.vocab, (B, T), generator=rng(0, "bench", "ids"))
    model, peer = peers(config)
    ours = stepper(model, lambda m: -token_logp(m(ids), ids).mean())
    theirs = stepper(peer, lambda m: m(input_ids=ids, labels=ids, use_cache=False).loss)
    for step in range(4):  # the first step moves B alone; a wrong gradient of A would show in the third loss
        agree(f"the loss of step {step}", ours(), theirs())
    return Contest(ours, theirs, B * T, "tokens/s", aim=1.0)
