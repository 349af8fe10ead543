"""A reward model as a folder of the hub: transformers' LlamaForSequenceClassification with one label.

Everything but the head is written as lm.llama writes a language model, so that only two things differ: the name of the
architecture, and one more tensor, `score.weight`. transformers reads the score at the last token whose id is not
`pad_token_id`, whatever the attention mask says; a padding token must therefore be one that no answer ends with.
Left out: more labels than one.
"""

import torch

from llmrl.lm import llama

HEAD = "score.weight"
ARCHITECTURE = "LlamaForSequenceClassification"
ONE_LABEL = {"architectures": [ARCHITECTURE], "id2label": {"0": "reward"}, "label2id": {"reward": 0}}


def split(weights, source):
    """The weights of the decoder, and the head (1, D)."""
    head = weights.get(HEAD)
    if head is None or head.dim() != 2 or head.shape[0] != 1:
        got = "none" if head is None else f"one of shape {tuple(head.shape)}"
        raise ValueError(
            f"{source}: a reward model has a tensor {HEAD!r} of shape (1, width), got {got}: build one on a language "
            f"model with RewardModel(lm), or load a classifier with one label"
        )
    return {name: weight for name, weight in weights.items() if name != HEAD}, head


def save(folder, config, state, head):
    """Write config.json and model.safetensors, and return the folder."""
    weights = llama.write_weights(config["layers"], state) | {HEAD: head.detach()}
    return llama.write(folder, llama.write_settings(config, head.dtype) | ONE_LABEL, weights)


def build(config, state, head):
    """A LlamaForSequenceClassification with these weights."""
    from transformers import LlamaConfig, LlamaForSequenceClassification

    with torch.random.fork_rng(devices=[]):  # its constructor draws weights that are replaced at once
        settings = llama.write_settings(config, head.dtype) | ONE_LABEL
        hf = LlamaForSequenceClassification(LlamaConfig(**settings)).to(head)
    hf.load_state_dict(llama.write_weights(config["layers"], state) | {HEAD: head})
    return hf.eval()
