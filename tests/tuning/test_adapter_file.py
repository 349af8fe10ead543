"""An adapter on the disk: back as it was, opened by peft and written by peft, and what does not fit is named."""

import json

import pytest
import torch
from lm.lively import lively, some_ids
from torch import nn

from llmrl.lm.model import Config
from llmrl.seeds import rng
from llmrl.tuning import adapter_file, lora


def adapted(where=("q", "down"), scaling="alpha/r"):
    model = lora.inject(lively(), 3, 6, where, scaling)
    for name, adapter in lora.adapters(model).items():
        nn.init.normal_(adapter.B, 0, 0.3, generator=rng(0, name))
    return model


@pytest.mark.parametrize("scaling", list(lora.SCALINGS))
def test_it_comes_back_as_it_was(tmp_path, scaling):
    model = adapted(scaling=scaling)
    assert adapter_file.save(model, tmp_path / "a") == tmp_path / "a"
    again = adapter_file.load(lively(), tmp_path / "a")
    assert torch.equal(again(some_ids()), model(some_ids()))
    assert lora.trainable(again) == lora.trainable(model)


def test_it_holds_the_adapters_and_nothing_else(tmp_path):
    model = adapted()
    numbers = lora.trainable(model)
    size = (adapter_file.save(model, tmp_path) / adapter_file.WEIGHTS).stat().st_size
    assert 4 * numbers < size < 4 * numbers + 2000


@pytest.mark.slow
def test_peft_opens_it(tmp_path):
    from peft import PeftModel

    model = adapted(lora.ALL, "rslora")
    peer = PeftModel.from_pretrained(lively().to_transformers(), adapter_file.save(model, tmp_path))
    torch.testing.assert_close(peer(some_ids()).logits, model(some_ids()), atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_it_opens_what_peft_wrote(tmp_path):
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(r=2, lora_alpha=5, target_modules=["v_proj", "up_proj"], task_type="CAUSAL_LM")
    peer = get_peft_model(lively().to_transformers(), config)
    for name, p in peer.named_parameters():
        if "lora_B" in name:
            nn.init.normal_(p, 0, 0.3, generator=rng(0, name))
    peer.save_pretrained(tmp_path)
    model = adapter_file.load(lively(), tmp_path)
    torch.testing.assert_close(model(some_ids()), peer(some_ids()).logits, atol=1e-5, rtol=1e-5)


def test_a_model_without_adapters(tmp_path):
    with pytest.raises(ValueError, match="TinyLM has no LoRALinear"):
        adapter_file.save(lively(), tmp_path)


def test_adapters_of_two_ranks(tmp_path):
    model = adapted()
    lora.put(model, "layers.0.ffn.up", lora.LoRALinear(model.layers[0].ffn.up, 2, 6))
    with pytest.raises(ValueError, match=r"plain LoRA of one rank and alpha, got .* unload\(model\) and save"):
        adapter_file.save(model, tmp_path)


def test_a_relative_of_lora(tmp_path):
    class Other(lora.LoRALinear):
        pass

    model = lora.adapt(lively(), ("q",), lambda linear: Other(linear, 2, 4))
    with pytest.raises(ValueError, match="a folder holds plain LoRA"):
        adapter_file.save(model, tmp_path)


def test_another_model(tmp_path):
    adapter_file.save(adapted(), tmp_path)
    wider = lively(Config(vocab=40, width=32, layers=2, heads=4, kv_heads=2, ffn=20, context=32))
    with pytest.raises(ValueError, match="tensors are missing, unknown or of another shape.*the model it was made for"):
        adapter_file.load(wider, tmp_path)
    assert all(p.requires_grad for p in wider.parameters())


def test_what_is_missing_or_damaged(tmp_path):
    with pytest.raises(FileNotFoundError, match="adapter_config.json is missing: an adapter is a folder with"):
        adapter_file.load(lively(), tmp_path)
    adapter_file.save(adapted(), tmp_path)
    (tmp_path / adapter_file.WEIGHTS).write_bytes(b"\x10")
    with pytest.raises(ValueError, match="is damaged .*restore it or save the adapter again"):
        adapter_file.load(lively(), tmp_path)


def test_another_method(tmp_path):
    settings = json.loads((adapter_file.save(adapted(), tmp_path) / adapter_file.SETTINGS).read_text())
    (tmp_path / adapter_file.SETTINGS).write_text(json.dumps(settings | {"use_dora": True}))
    with pytest.raises(ValueError, match="use_dora must be False for plain LoRA, got True: open it with peft"):
        adapter_file.load(lively(), tmp_path)
