"""An adapter as a folder of its own: what was learned, without the model it was learned beside.

The folder has the format of peft, adapter_config.json and adapter_model.safetensors, so that peft opens it beside the
same model in transformers' form, and ours opens what peft wrote. It is a few hundred kilobytes per task here, beside
one base for all of them. Left out: relatives of LoRA, several adapters in one folder, trained rows of the embedding.
"""

import json
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from llmrl.lm.llama import MODULES, names
from llmrl.storage import write_whole
from llmrl.tuning.lora import LoRALinear, adapters, inject, named

SETTINGS, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
THEIRS = {ours.rpartition(".")[2]: theirs.rpartition(".")[2] for ours, theirs in MODULES.items()}  # q -> q_proj
PLAIN = {"peft_type": "LORA", "bias": "none", "use_dora": False, "modules_to_save": None, "rank_pattern": {}}


def save(model, folder):
    """Write the adapters of a TinyLM, and return the folder."""
    found = adapters(model)
    kinds = {(type(a).__name__, a.rank, a.alpha, a.scaling) for a in found.values()}
    if len(kinds) > 1 or any(type(a) is not LoRALinear for a in found.values()):
        raise ValueError(
            f"a folder holds plain LoRA of one rank and alpha, got {sorted(kinds)}: unload(model) and save the model"
        )
    one, folder = next(iter(found.values())), Path(folder)
    settings = PLAIN | {
        "task_type": "CAUSAL_LM",
        "r": one.rank,
        "lora_alpha": one.alpha,
        "use_rslora": one.scaling == "rslora",
        "target_modules": sorted({THEIRS[name.rpartition(".")[2]] for name in found}),
        "lora_dropout": 0.0,
        "inference_mode": True,
    }
    theirs = _their_names(model)
    tensors = {f"{theirs[name]}.lora_{x}.weight": getattr(a, x).detach() for name, a in found.items() for x in "AB"}
    write_whole(folder / WEIGHTS, to_bytes(tensors, {"format": "pt"}))
    write_whole(folder / SETTINGS, json.dumps(settings, indent=1) + "\n")
    return folder


def load(model, folder):
    """Put the adapters of a folder beside the matrices of a TinyLM; returns the model, changed in place."""
    settings, tensors = _read(Path(folder))
    ours = {theirs: name for name, theirs in THEIRS.items()}
    where = [ours.get(name, name) for name in settings["target_modules"]]
    rank, theirs = settings["r"], _their_names(model)
    shapes = {}
    for name, linear in named(model, where).items():
        shapes[f"{theirs[name]}.lora_A.weight"] = rank, linear.in_features
        shapes[f"{theirs[name]}.lora_B.weight"] = linear.out_features, rank
    wrong = sorted(shapes.keys() ^ tensors.keys()) or [name for name, x in tensors.items() if x.shape != shapes[name]]
    if wrong:
        raise ValueError(
            f"{folder}: {len(wrong)} tensors are missing, unknown or of another shape, {wrong[0]} among them: load it "
            f"beside the model it was made for"
        )
    inject(model, rank, settings["lora_alpha"], where, "rslora" if settings.get("use_rslora") else "alpha/r")
    for name, adapter in adapters(model).items():
        for x in "AB":
            getattr(adapter, x).data.copy_(tensors[f"{theirs[name]}.lora_{x}.weight"])
    return model


def _read(folder):
    """The settings and tensors of a folder, once they are known to be plain LoRA."""
    for name in (SETTINGS, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: an adapter is a folder with {SETTINGS} and {WEIGHTS}")
    try:
        settings = dict(json.loads((folder / SETTINGS).read_text(encoding="utf-8")))
        tensors = from_bytes((folder / WEIGHTS).read_bytes())
    except (ValueError, SafetensorError) as error:
        raise ValueError(f"{folder} is damaged ({error}): restore it or save the adapter again") from error
    for name, ours in PLAIN.items():
        if settings.get(name, ours) not in (ours, None):
            raise ValueError(f"{name} must be {ours!r} for plain LoRA, got {settings[name]!r}: open it with peft")
    return settings, tensors


def _their_names(model):
    """Our name of a matrix -> peft's beginning of the names of its adapter."""
    pairs = names(model.config.layers)
    return {
        ours.removesuffix(".weight"): f"base_model.model.{theirs.removesuffix('.weight')}" for ours, theirs in pairs
    }
