r"""Mixture of experts: many feed-forward networks, of which every token visits only its best k.

A router, one matrix, gives each token a score for every expert. The k best are asked, and their answers are added with
weights that sum to one: $y=\sum_{i\in\mathrm{top}\,k}w_i\,\mathrm{ffn}_i(x)$ (Shazeer et al. 2017, arXiv 1701.06538;
Mixtral: Jiang et al. 2024, arXiv 2401.04088). The model has the parameters of all experts and costs a token the work of
k. Choices are sorted by expert, so that each expert multiplies all of its tokens at once and nobody else's. Keeping the
experts equally busy is the subject of `balance`. Left out: noise in the router, experts that every token visits,
several machines.

Shapes: B sequences, T positions, N = B T tokens, D width, E experts, F their inner width, M choices.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from llmrl import seeds
from llmrl.lm.balance import admitted, check_k, check_logits, load_balance, places
from llmrl.lm.model import Linear
from llmrl.lm.swiglu import swiglu
from llmrl.lm.training import next_token_loss


@dataclass(frozen=True)
class Routing:
    """How many experts there are and how a token chooses among them."""

    experts: int = 8  # E
    k: int = 2
    renormalise: bool = True  # False: a weight is the router's probability itself, which with k = 1 it has to be
    capacity: float = math.inf  # places per expert, as a multiple of an equal share; who finds none is dropped

    def __post_init__(self):
        if isinstance(self.experts, bool) or not isinstance(self.experts, int) or self.experts < 1:
            raise ValueError(f"experts must be a whole number of at least 1, got {self.experts!r}: 8 is common")
        check_k(self.k, self.experts)
        places(1, self)


def route(logits, k, renormalise=True, bias=None):
    """The k best experts of each token and their weights.  logits (N, E) -> weights (N, k), chosen (N, k)

    A bias (E,) is added to the probabilities when experts are chosen, and not when they are weighed.
    """
    check_logits(logits, k)
    probs = logits.softmax(-1)
    chosen = (probs if bias is None else probs + bias).topk(k, dim=-1).indices  # best first
    weights = probs.gather(-1, chosen)
    return (weights / weights.sum(-1, keepdim=True) if renormalise else weights), chosen


def dispatch(x, weights, chosen, experts, kept=None):
    """Bring tokens to their experts and the answers back.  x (N, D), weights, chosen, kept (N, k) -> (N, D)

    experts(rows, sizes) answers rows that are sorted by expert. A choice that is not kept is not computed.
    """
    asked = chosen.flatten()  # (N k,)
    order = asked.argsort(stable=True)  # the choices, those of expert 0 first
    if kept is not None:
        order = order[kept.flatten()[order]]
    token = order // chosen.shape[-1]  # (M,) who made the choice
    sizes = asked[order].bincount(minlength=len(experts)).tolist()
    answers = experts(x[token], sizes) * weights.flatten()[order, None]  # (M, D)
    return torch.zeros_like(x).index_add(0, token, answers.to(x.dtype))


class Experts(nn.Module):
    r"""E gated networks, their matrices stacked: $W_{down}\,(\mathrm{silu}(W_{gate}x)\odot W_{up}x)$ for each."""

    def __init__(self, count, width, ffn):
        super().__init__()
        self.gate_up = nn.Parameter(torch.empty(count, 2 * ffn, width))
        self.down = nn.Parameter(torch.empty(count, width, ffn))

    def __len__(self):
        return len(self.down)

    def forward(self, rows, sizes):
        """Each expert answers its own rows.  rows (M, D), the first sizes[0] for expert 0, and so on -> (M, D)"""
        each = zip(rows.split(sizes), self.gate_up.unbind(), self.down.unbind())
        return torch.cat([F.linear(swiglu(*F.linear(part, w).chunk(2, -1)), down) for part, w, down in each])


class MoE(nn.Module):
    """A layer of experts where a feed-forward network was.  x (.., D) -> (.., D)

    It remembers the router's scores and the choices of the last pass, for the loss that keeps experts balanced.
    """

    def __init__(self, width, ffn, routing, deviations=(0.02, 0.02), generator=None):
        super().__init__()
        self.routing = routing
        self.router, self.experts = Linear(width, routing.experts), Experts(routing.experts, width, ffn)
        self.register_buffer("bias", torch.zeros(routing.experts))
        self.logits = self.chosen = self.kept = None
        reads, adds = deviations
        generator = generator or seeds.rng(seeds.base_seed(), "moe", "initial weights")
        with torch.no_grad():
            for weight, size in ((self.router.weight, reads), (self.experts.gate_up, reads), (self.experts.down, adds)):
                weight.normal_(0, size, generator=generator)

    def forward(self, x):
        r, tokens = self.routing, x.flatten(0, -2)  # (N, D)
        self.logits = self.router(tokens)  # (N, E)
        weights, self.chosen = route(self.logits, r.k, r.renormalise, self.bias)
        self.kept = None if r.capacity == math.inf else admitted(self.chosen, r.experts, places(len(tokens), r))
        return dispatch(tokens, weights, self.chosen, self.experts, self.kept).view_as(x)


def with_experts(model, ffn, routing, generator=None):
    """The model with experts of inner width ffn in place of every layer's network; the layer's other parts stay."""
    width, adds = model.config.width, 0.02 / math.sqrt(2 * len(model.layers))
    for layer in model.layers:
        layer.ffn = MoE(width, ffn, routing, (0.02, adds), generator).to(model.embed.weight)
    return model


def layers_of(model):
    """The layers of experts in a model, in order."""
    return [module for module in model.modules() if isinstance(module, MoE)]


def balanced(alpha):
    """A loss for `train`: next-token loss plus alpha times every layer's balancing loss, for texts without padding."""

    def loss(model, ids, mask):
        text = next_token_loss(model, ids, mask)
        return text + alpha * sum(load_balance(layer.logits, layer.routing.k) for layer in layers_of(model))

    return loss


def parameters(layer):
    """What an MoE layer holds, and what one token uses of it.  -> {"total", "active"}"""
    router = layer.router.weight.numel()
    experts = sum(p.numel() for p in layer.experts.parameters())
    return {"total": router + experts, "active": router + experts // len(layer.experts) * layer.routing.k}
