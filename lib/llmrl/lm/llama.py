"""TinyLM under Llama's own names: the hub's folder format, so that other people's tools can read our models.

A folder holds config.json and model.safetensors; only names differ. Left out: sharded files, biases, untied heads and
rescaled rotations, which are refused by name.
"""

import json
from pathlib import Path

import torch

from llmrl.storage import write_whole

SIZES = {  # ours -> Llama's
    "vocab": "vocab_size",
    "width": "hidden_size",
    "layers": "num_hidden_layers",
    "heads": "num_attention_heads",
    "kv_heads": "num_key_value_heads",
    "ffn": "intermediate_size",
    "context": "max_position_embeddings",
    "eps": "rms_norm_eps",
}
MODULES = {  # of one layer, ours -> Llama's
    "attention_norm": "input_layernorm",
    "attention.q": "self_attn.q_proj",
    "attention.k": "self_attn.k_proj",
    "attention.v": "self_attn.v_proj",
    "attention.out": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn.gate": "mlp.gate_proj",
    "ffn.up": "mlp.up_proj",
    "ffn.down": "mlp.down_proj",
}
REQUIRED = {  # what TinyLM is, and what Llama takes where its settings are silent
    "model_type": ("llama", None),
    "hidden_act": ("silu", "silu"),
    "tie_word_embeddings": (True, False),
    "attention_bias": (False, False),
    "mlp_bias": (False, False),
}


def write_settings(config, dtype=torch.float32):
    """The text of config.json, as a dict, from ours."""
    return {
        "architectures": ["LlamaForCausalLM"],
        **{name: ours for name, (ours, _) in REQUIRED.items()},
        **{theirs: config[ours] for ours, theirs in SIZES.items()},
        "head_dim": config["width"] // config["heads"],
        "rope_parameters": {"rope_type": "default", "rope_theta": config["rope_base"]},
        "initializer_range": 0.02,
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": 3,
        "dtype": str(dtype).removeprefix("torch."),
    }


def read_settings(settings):
    """Ours from config.json; what TinyLM cannot be is refused."""
    for name, (ours, silent) in REQUIRED.items():
        if settings.get(name, silent) != ours:
            raise ValueError(
                f"{name} must be {ours!r}, got {settings.get(name, silent)!r}: TinyLM is a Llama with tied "
                f"embeddings and no biases, load anything else with transformers"
            )
    missing = [theirs for theirs in SIZES.values() if theirs not in settings]
    if missing:
        raise ValueError(f"settings must name every size and lack {', '.join(missing)}: restore config.json")
    rope = {"rope_theta": settings.get("rope_theta", 10000.0), **(settings.get("rope_parameters") or {})}
    if rope.get("rope_type", "default") != "default" or settings.get("rope_scaling"):
        got = settings.get("rope_scaling") or rope["rope_type"]
        raise ValueError(f"rope_type must be 'default', got {got!r}: load it with transformers")
    config = {ours: settings[theirs] for ours, theirs in SIZES.items()}
    head_dim = settings.get("head_dim")
    if head_dim is not None and head_dim * config["heads"] != config["width"]:
        raise ValueError(
            f"head_dim must be hidden_size / num_attention_heads, got {head_dim} for {config['width']!r} / "
            f"{config['heads']!r}: load it with transformers"
        )
    return {**config, "rope_base": rope["rope_theta"]}


def names(layers):
    """Our names and Llama's, tensor by tensor."""
    yield "embed.weight", "model.embed_tokens.weight"
    yield "norm.weight", "model.norm.weight"
    for i in range(layers):
        for ours, theirs in MODULES.items():
            yield f"layers.{i}.{ours}.weight", f"model.layers.{i}.{theirs}.weight"


def read_weights(layers, weights, shapes, source):
    """Llama's state dict -> ours, which has these shapes."""
    weights = {name: weight for name, weight in weights.items() if name != "lm_head.weight"}
    expected = {theirs: shapes[ours] for ours, theirs in names(layers)}
    strange = expected.keys() ^ weights.keys()
    wrong = sorted(strange) or [name for name, shape in expected.items() if weights[name].shape != shape]
    if wrong:
        raise ValueError(
            f"{source}: {len(wrong)} tensors are missing, unknown or of another shape than the settings say, "
            f"{wrong[0]} among them: config.json and the weights must come from one save, write both again"
        )
    return {ours: weights[theirs] for ours, theirs in names(layers)}


def write_weights(layers, state):
    """Our state dict -> Llama's."""
    return {theirs: state[ours] for ours, theirs in names(layers)}


def build(config, state):
    """A LlamaForCausalLM with these weights."""
    from transformers import LlamaConfig, LlamaForCausalLM

    weights = write_weights(config["layers"], state)
    embed = weights["model.embed_tokens.weight"]
    with torch.random.fork_rng(devices=[]):  # its constructor draws weights that are replaced at once
        hf = LlamaForCausalLM(LlamaConfig(**write_settings(config, embed.dtype))).to(embed)
    hf.load_state_dict({**weights, "lm_head.weight": embed})
    return hf.eval()


def save(folder, config, state):
    """Write config.json and model.safetensors, and return the folder."""
    return write(folder, write_settings(config, state["embed.weight"].dtype), write_weights(config["layers"], state))


def write(folder, settings, weights):
    """Settings and weights as the hub stores them, each file whole or not at all; returns the folder."""
    from safetensors.torch import save as to_bytes

    weights = {name: weight.cpu().contiguous() for name, weight in weights.items()}
    write_whole(Path(folder) / "model.safetensors", to_bytes(weights, metadata={"format": "pt"}))
    write_whole(Path(folder) / "config.json", json.dumps(settings, indent=2) + "\n")
    return Path(folder)


def load(folder):
    """The settings and the weights of a folder."""
    from safetensors import SafetensorError
    from safetensors.torch import load as from_bytes

    try:
        settings = dict(json.loads(read(folder, "config.json")))
    except (ValueError, TypeError) as error:
        path = Path(folder) / "config.json"
        raise ValueError(f"{path} must be a JSON object, and is not ({error}): restore the file") from error
    try:
        return settings, from_bytes(read(folder, "model.safetensors"))
    except SafetensorError as error:
        path = Path(folder) / "model.safetensors"
        raise ValueError(
            f"{path} must be a whole safetensors file, and is cut short or damaged ({error}): "
            f"restore the file or save the model again"
        ) from error


def read(folder, name):
    path = Path(folder) / name
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: a model is a folder with config.json and model.safetensors, as save writes it"
        )
    return path.read_bytes()
