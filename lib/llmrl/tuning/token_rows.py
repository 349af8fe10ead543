"""Some rows of the embedding, trained beside adapters.

A tokenizer may hold tokens that pre-training never used, such as the marks of a chat template. Their rows of the
embedding say nothing yet, LoRA beside other matrices leaves them as they are, and where the embedding is also the
output layer the model cannot tell them apart when it writes. Training just these rows costs D numbers each, as peft's
trainable_token_indices does. Left out: an output layer of its own.

Shapes: V vocabulary, D width, n rows.
"""

import torch
from torch import nn
from torch.nn.utils import parametrize


class Rows(nn.Module):
    """A matrix with n of its rows replaced by trained ones.  (V, D) -> (V, D)"""

    def __init__(self, weight, ids):
        super().__init__()
        self.register_buffer("ids", torch.tensor(ids, device=weight.device))
        self.rows = nn.Parameter(weight[self.ids].detach().clone())

    def forward(self, weight):
        return weight.index_copy(0, self.ids, self.rows)


def train_rows(model, ids):
    """Freeze the embedding but for the rows of these tokens; returns the model, changed in place."""
    ids, vocab = list(ids), len(model.embed.weight)
    if not ids or len(set(ids)) < len(ids) or not all(0 <= i < vocab for i in ids):
        raise ValueError(f"ids must be different tokens from 0 to {vocab - 1}, one or more, got {ids}")
    if parametrize.is_parametrized(model.embed):
        raise ValueError(
            "the embedding has trained rows already: name all tokens in one call, or fold_rows(model) first"
        )
    parametrize.register_parametrization(model.embed, "weight", Rows(model.embed.weight, ids))
    model.embed.parametrizations.weight.original.requires_grad_(False)
    return model


def fold_rows(model):
    """Write the trained rows into the embedding, which is then an ordinary one again; in place."""
    if not parametrize.is_parametrized(model.embed):
        raise ValueError("the embedding has no trained rows to fold in: train_rows(model, ids) comes first")
    parametrize.remove_parametrizations(model.embed, "weight", leave_parametrized=True)
    return model
