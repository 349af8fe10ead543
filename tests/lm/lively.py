"""Small random models whose mistakes show."""

import torch

from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

SMALL = Config(vocab=40, width=24, layers=2, heads=4, kv_heads=2, ffn=20, context=32)


def lively(config=SMALL, seed=0):
    """Weights large enough for the layers to matter; the norms' weights are not all one either."""
    model = TinyLM(config, rng(seed, "init"))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight += 0.2 * torch.randn(weight.shape, generator=rng(seed, name))
    return model


def some_ids(B=3, T=11, config=SMALL, seed=0):
    return torch.randint(config.vocab, (B, T), generator=rng(seed, "ids"))
