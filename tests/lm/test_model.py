"""TinyLM against transformers' Llama, its files, and what it refuses."""

import dataclasses
import json

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from lively import SMALL, lively, some_ids

from llmrl.lm.cache import new_cache
from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

SHAPES = {
    "grouped": SMALL,
    "every head its own": dataclasses.replace(SMALL, kv_heads=4),
    "one for all": dataclasses.replace(SMALL, kv_heads=1),
}


@pytest.mark.parametrize("config", [*SHAPES.values(), Config()], ids=[*SHAPES, "as shipped"])
def test_equal_logits_and_gradients_both_ways(config):
    model, ids = lively(config) if config.vocab == 40 else TinyLM(config, rng(0)), some_ids(config=config)
    hf = model.to_transformers()
    back = TinyLM.from_transformers(hf)
    torch.testing.assert_close(model(ids), hf(ids).logits, atol=1e-5, rtol=1e-5)
    assert torch.equal(model(ids), back(ids)) and back.config == model.config
    for m in (lambda x: hf(x).logits, model):
        (-token_logp(m(ids), ids).mean()).backward()
    ours, theirs = model.embed.weight.grad, hf.model.embed_tokens.weight.grad
    ours, theirs = ours[1:], theirs[1:]  # as an input, transformers gives the padding token no gradient
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)
    for name in ("q", "k", "v"):
        theirs = hf.get_submodule(f"model.layers.0.self_attn.{name}_proj").weight.grad
        ours = model.get_submodule(f"layers.0.attention.{name}").weight.grad
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-4)


HEADS = [(1, 1), (2, 1), (2, 2), (4, 2), (6, 3)]


@given(st.sampled_from(HEADS), st.integers(1, 3), st.integers(1, 4), st.integers(1, 16))
@settings(max_examples=15, deadline=None)
def test_equal_logits_for_any_size(heads, layers, half_head, T):
    heads, kv_heads = heads
    config = Config(10, width=2 * half_head * heads, layers=layers, heads=heads, kv_heads=kv_heads, ffn=3, context=16)
    model, ids = lively(config), some_ids(2, T, config)
    assert model(ids).shape == (2, T, 10) and model.hidden(ids).shape == (2, T, config.width)
    torch.testing.assert_close(model(ids), model.to_transformers()(ids).logits, atol=1e-5, rtol=1e-5)


def test_about_point_eight_million_parameters():
    assert 780_000 < sum(p.numel() for p in TinyLM(Config()).parameters()) < 820_000


def test_the_first_loss_is_that_of_a_fair_guess():
    model = TinyLM(Config(), rng(3))
    loss = -token_logp(model(some_ids(4, 64, Config())), some_ids(4, 64, Config())).mean()
    assert abs(loss - torch.tensor(512.0).log()) < 0.1


def test_initial_weights_come_from_the_given_stream_alone():
    before = torch.random.get_rng_state()
    a, b, c = (TinyLM(SMALL, rng(seed)).state_dict() for seed in (0, 0, 1))
    TinyLM(SMALL).to_transformers()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(a[name], b[name]) for name in a) and not torch.equal(a["embed.weight"], c["embed.weight"])


def test_what_writes_to_the_stream_starts_smaller():
    layer = TinyLM(Config(), rng(0)).layers[0]
    assert layer.ffn.gate.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert layer.ffn.down.weight.std().item() == pytest.approx(0.02 / 8**0.5, rel=0.05)
    assert layer.attention.out.weight.std().item() == pytest.approx(0.02 / 8**0.5, rel=0.05)


def test_nobody_looks_ahead():
    model, ids = lively(), some_ids()
    changed = ids.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % 40
    assert torch.equal(model(ids)[:, :7], model(changed)[:, :7])
    assert not torch.allclose(model(ids)[:, 7:], model(changed)[:, 7:])


def test_left_padding_changes_nothing():
    model, ids = lively().double(), some_ids()
    padded = torch.cat([torch.zeros(3, 5, dtype=torch.long), ids], dim=1)
    mask = torch.arange(16).expand(3, 16) >= 5
    torch.testing.assert_close(model(padded, mask)[:, 5:], model(ids))
    assert not torch.allclose(model(padded)[:, 5:], model(ids))  # without the mask padding is read as text
    assert model(padded, mask).isfinite().all()


@pytest.mark.parametrize("pieces", [(11,), (1,) * 11, (4, 1, 6), (10, 1)])
@pytest.mark.parametrize("padding", [0, 3])
def test_the_cache_changes_nothing(pieces, padding):
    model, ids = lively().double(), some_ids()
    mask = (torch.arange(11) >= padding * torch.tensor([[0], [1], [1]])) if padding else None
    cache, parts, seen = new_cache(model, 3, 11), [], 0
    for n in pieces:
        parts.append(model(ids[:, seen : seen + n], None if mask is None else mask[:, : seen + n], cache))
        seen += n
    real = torch.ones(3, 11, dtype=torch.bool) if mask is None else mask
    torch.testing.assert_close(torch.cat(parts, dim=1)[real], model(ids, mask)[real])


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_near(dtype):
    model, ids = TinyLM(SMALL, rng(0)), some_ids()
    exact = model(ids)
    with torch.autocast("cpu", dtype):
        torch.testing.assert_close(model(ids).float(), exact, atol=0.02, rtol=0.02)
    torch.testing.assert_close(model.to(dtype)(ids).float(), exact, atol=0.02, rtol=0.02)


def test_gradients_as_a_function_of_the_weights():
    model, ids = lively(), some_ids()
    weights = {name: p.detach() for name, p in model.named_parameters()}

    def loss(weights, row):
        return -token_logp(torch.func.functional_call(model, weights, (row[None],)), row[None]).mean()

    (-token_logp(model(ids[1:2]), ids[1:2]).mean()).backward()
    one = torch.func.grad(loss)(weights, ids[1])["layers.0.ffn.up.weight"]
    torch.testing.assert_close(one, model.layers[0].ffn.up.weight.grad)


def test_the_stream_can_be_walked_and_hooked():
    model, ids, seen = lively(), some_ids(), {}
    for name in ("embed", "layers.0.attention_norm", "layers.1.attention", "layers.1.ffn_norm", "layers.0.ffn", "norm"):
        model.get_submodule(name).register_forward_hook(lambda m, x, y, name=name: seen.update({name: tuple(y.shape)}))
    states = model.residuals(ids)
    assert states.shape == (3, 3, 11, 24)
    assert torch.equal(states[0], model.embed(ids))
    torch.testing.assert_close(model.unembed(model.norm(states[-1])), model(ids))
    assert set(seen.values()) == {(3, 11, 24)} and len(seen) == 6


def test_float64_and_its_gradient():
    config = dataclasses.replace(SMALL, vocab=6, width=8, layers=1, ffn=5, heads=2, kv_heads=1)
    model, ids = lively(config).double(), some_ids(1, 4, config)
    assert model(ids).dtype == torch.float64

    def loss(*weights):
        named = dict(zip((name for name, _ in model.named_parameters()), weights))
        return torch.func.functional_call(model, named, (ids,))

    assert torch.autograd.gradcheck(loss, tuple(p.detach().clone().requires_grad_() for p in model.parameters()))


def test_a_folder_loads_in_transformers_and_here(tmp_path):
    from transformers import LlamaForCausalLM

    model, ids = lively(), some_ids()
    model.save(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["config.json", "model.safetensors"]
    hf, info = LlamaForCausalLM.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(info[kind] for kind in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(hf(ids).logits, model(ids), atol=1e-5, rtol=1e-5)
    loaded = TinyLM.load(tmp_path)
    assert loaded.config == SMALL and not loaded.training and torch.equal(loaded(ids), model(ids))
    hf.save_pretrained(tmp_path)
    assert torch.equal(TinyLM.load(tmp_path)(ids), model(ids))


def test_a_checkpoint_is_small(tmp_path):
    TinyLM(Config()).save(tmp_path)
    assert (tmp_path / "model.safetensors").stat().st_size <= 4e6


def test_damaged_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="config.json is missing: a model is a folder with"):
        TinyLM.load(tmp_path)
    lively().save(tmp_path)
    file, settings = tmp_path / "model.safetensors", tmp_path / "config.json"
    whole, text = file.read_bytes(), settings.read_text()
    for size in (0, 4, 100, len(whole) - 1):
        file.write_bytes(whole[:size])
        with pytest.raises(ValueError, match="model.safetensors must be a whole safetensors file.*restore the file"):
            TinyLM.load(tmp_path)
    file.unlink()
    with pytest.raises(FileNotFoundError, match="model.safetensors is missing"):
        TinyLM.load(tmp_path)
    file.write_bytes(whole)
    settings.write_text(text[:50])
    with pytest.raises(ValueError, match="config.json must be a JSON object"):
        TinyLM.load(tmp_path)
    settings.write_text("[1, 2]")
    with pytest.raises(ValueError, match="config.json must be a JSON object"):
        TinyLM.load(tmp_path)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"model_type": "gpt2"}, "model_type must be 'llama', got 'gpt2'"),
        ({"tie_word_embeddings": False}, "tie_word_embeddings must be True, got False"),
        ({"attention_bias": True}, "attention_bias must be False"),
        ({"rope_parameters": {"rope_type": "llama3", "rope_theta": 1e4}}, "rope_type must be 'default', got 'llama3'"),
        ({"head_dim": 8}, "head_dim must be hidden_size / num_attention_heads, got 8 for 24 / 4"),
        ({"vocab_size": "40"}, "vocab must be a whole number of at least 1, got '40'"),
        ({"num_hidden_layers": 3}, "9 tensors are missing, unknown or of another shape"),
        ({"num_key_value_heads": 4}, "tensors are missing, unknown or of another shape"),
        ({"intermediate_size": 21}, "tensors are missing, unknown or of another shape"),
    ],
)
def test_settings_that_do_not_fit_are_named(tmp_path, change, message):
    lively().save(tmp_path)
    settings = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**settings, **change}))
    with pytest.raises(ValueError, match=f"{tmp_path.name}: .*{message}"):
        TinyLM.load(tmp_path)


def test_a_config_is_a_config():
    with pytest.raises(TypeError, match="config must be a Config, got 512"):
        TinyLM(512)


@pytest.mark.parametrize(
    "sizes, message",
    [
        ({"heads": 5}, "width must be a multiple of 2 . heads, got width 128 and heads 5"),
        ({"width": 12, "heads": 4}, "width must be a multiple of 2 . heads, got width 12 and heads 4"),
        ({"heads": 4, "kv_heads": 3}, "heads must be a multiple of kv_heads, got 4 and 3"),
        ({"layers": 0}, "layers must be a whole number of at least 1, got 0"),
        ({"vocab": 2.5}, "vocab must be a whole number of at least 1, got 2.5"),
        ({"eps": 0.0}, "eps must be a number above 0, got 0.0"),
        ({"rope_base": float("inf")}, "rope_base must be a number above 0, got inf"),
        ({"eps": "1e-5"}, "eps must be a number above 0, got '1e-5'"),
    ],
)
def test_impossible_sizes_are_named(sizes, message):
    with pytest.raises(ValueError, match=message):
        Config(**sizes)


@pytest.mark.parametrize(
    "ids, error, message",
    [
        ([[1, 2]], TypeError, "ids must be a torch.long tensor of shape .B, T. with at least one token, got list"),
        (torch.tensor([1, 2]), TypeError, r"got torch.int64 of shape \(2,\)"),
        (torch.zeros(1, 0, dtype=torch.long), TypeError, r"got torch.int64 of shape \(1, 0\)"),
        (torch.zeros(0, 3, dtype=torch.long), TypeError, r"got torch.int64 of shape \(0, 3\)"),
        (torch.tensor([[1.0]]), TypeError, "got torch.float32"),
        (torch.tensor([[40]]), ValueError, r"ids must be in \[0, 40\), got 40: encode the text with the tokenizer"),
        (torch.tensor([[5, -1]]), ValueError, r"ids must be in \[0, 40\), got -1"),
        (torch.zeros(1, 33, dtype=torch.long), ValueError, "a text of 33 tokens does not fit in a context of 32"),
    ],
)
def test_bad_ids_are_named(ids, error, message):
    with pytest.raises(error, match=message):
        lively()(ids)


@given(st.lists(st.integers(-3, 45), min_size=0, max_size=35))
def test_ids_are_either_read_or_refused(row):
    good = 1 <= len(row) <= 32 and all(0 <= x < 40 for x in row)
    ids = torch.tensor([row], dtype=torch.long).reshape(1, len(row))
    if good:
        assert lively()(ids).isfinite().all()
    else:
        with pytest.raises((ValueError, TypeError), match="ids must be|does not fit"):
            lively()(ids)


def test_a_mask_that_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(3, 11\), got torch.int64 of shape \(3, 11\)"):
        lively()(some_ids(), torch.ones(3, 11, dtype=torch.long))
    with pytest.raises(ValueError, match=r"mask must be bool of shape \(3, 11\)"):
        lively()(some_ids(), torch.ones(3, 10, dtype=torch.bool))
