r"""LoRA: learn a small change of a large matrix, as a product of two thin ones (Hu et al. 2021, arXiv:2106.09685).

The matrix W stays as it is; beside it B A is learned, and $y=xW^\top+s\,xA^\top B^\top$. A begins random and B at zero,
so nothing changes at the start; s is alpha/r, or alpha/sqrt(r) for rsLoRA (Kalajdzievski 2023, arXiv:2312.03732), which
keeps the size of the change the same at every rank. After training s B A can be added to W, and the model costs what it
cost before. `adapt` puts any module in the place of the matrices that are named; relatives of LoRA come in that way.
Left out: dropout on the way into A, adapters of the embedding, and several adapters at once.

Shapes: N numbers in, O numbers out, r the rank; W (O, N), A (r, N), B (O, r).
"""

import math

import torch
from torch import nn

from llmrl import seeds
from llmrl.lm.product import product

ATTENTION, FFN = ("q", "k", "v", "out"), ("gate", "up", "down")
ALL = ATTENTION + FFN  # every matrix of a layer; the embedding, which is also the output layer, stays as it is
SCALINGS = {"alpha/r": lambda alpha, rank: alpha / rank, "rslora": lambda alpha, rank: alpha / math.sqrt(rank)}


def low_rank(x, A, B, scale):
    r"""$s\,xA^\top B^\top$, what the two thin matrices add; B A itself is never formed.  (.., N) -> (.., O)"""
    return product(product(x, A) * scale, B)


class LoRALinear(nn.Module):
    r"""$xW^\top+b+s\,xA^\top B^\top$ with W and b frozen.  (.., N) -> (.., O)"""

    def __init__(self, linear, rank, alpha, scaling="alpha/r", generator=None):
        super().__init__()
        check(linear, rank, alpha)
        if scaling not in SCALINGS:
            raise ValueError(f"scaling must be one of {', '.join(SCALINGS)}, got {scaling!r}: the paper's is alpha/r")
        self.linear = linear.requires_grad_(False)
        self.rank, self.alpha, self.scaling = rank, alpha, scaling
        self.scale, self.merged = SCALINGS[scaling](alpha, rank), False
        generator = generator or seeds.rng(seeds.base_seed(), "lora", "A")
        self.A = nn.Parameter(uniform(rank, linear.in_features, generator).to(linear.weight))
        self.B = nn.Parameter(linear.weight.new_zeros(linear.out_features, rank))

    def forward(self, x):
        y = self.linear(x)  # (.., O)
        return y if self.merged else y + low_rank(x, self.A, self.B, self.scale)

    def delta(self):
        r"""$s\,BA$, what is to be added to W.  -> (O, N)"""
        return self.scale * (self.B @ self.A)

    @torch.no_grad()
    def shift(self, sign):
        """Add the change to the matrix, or take it out again; what comes back differs from W by rounding."""
        self.linear.weight += sign * self.delta()
        self.merged = sign > 0

    def train(self, mode=True):
        if mode and self.merged:
            raise ValueError("a merged adapter has no gradient and would learn nothing: unmerge(model) before training")
        return super().train(mode)

    def extra_repr(self):
        return f"rank={self.rank}, scale={self.scale:g}, merged={self.merged}"


def uniform(rank, inputs, generator):
    r"""A as peft begins it: every entry uniform up to $1/\sqrt N$.  -> (r, N)"""
    return torch.empty(rank, inputs).uniform_(-1, 1, generator=generator) / math.sqrt(inputs)


def named(model, where):
    """The linear maps of a model whose last name is in where, by full name."""
    if any(isinstance(module, LoRALinear) for module in model.modules()):
        raise ValueError("the model has adapters already: unload(model) merges and removes them, or take a fresh copy")
    linears = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    known = dict.fromkeys(name.rpartition(".")[2] for name in linears)
    where = (where,) if isinstance(where, str) else tuple(where)
    if not where or not set(where) <= set(known):
        there = ", ".join(known) or "none"
        raise ValueError(f"where must name linear maps of the model, got {where!r}: it has {there}")
    return {name: linear for name, linear in linears.items() if name.rpartition(".")[2] in where}


def adapt(model, where, make):
    """Put make(linear) in the place of every linear map named by where; only what make brings is trained. In place."""
    before = list(model.parameters())
    new = {name: make(linear) for name, linear in named(model, where).items()}
    for parameter in before:
        parameter.requires_grad_(False)
    for name, module in new.items():
        put(model, name, module)
    return model


def put(model, name, module):
    """Let a module take the place of the one with that name."""
    parent, _, last = name.rpartition(".")
    setattr(model.get_submodule(parent), last, module)


def inject(model, rank, alpha, where=ALL, scaling="alpha/r", generator=None):
    """Give every linear map named by where a LoRALinear and freeze everything else; the same model, changed."""
    for linear in named(model, where).values():
        check(linear, rank, alpha)
    generator = generator or seeds.rng(seeds.base_seed(), "lora", "A")
    return adapt(model, where, lambda linear: LoRALinear(linear, rank, alpha, scaling, generator))


def adapters(module):
    """Every LoRALinear in a module, itself included, by name."""
    found = {name: inner for name, inner in module.named_modules() if isinstance(inner, LoRALinear)}
    if not found:
        raise ValueError(f"{type(module).__name__} has no LoRALinear in it: inject(model, rank, alpha) puts them there")
    return found


def merge(module):
    """Add every change to its matrix, so that asking costs nothing extra; in place."""
    return _turn(module, 1, "merged already", "a second time would add the change twice, unmerge(module) takes it out")


def unmerge(module):
    """Take every change out of its matrix again, to train on or to swap; in place."""
    return _turn(module, -1, "not merged", "there is nothing to take out, merge(module) puts it in")


def _turn(module, sign, state, way_out):
    found = adapters(module)
    for name, adapter in found.items():
        if adapter.merged == (sign > 0):
            raise ValueError(f"{name or 'the module'} is {state}: {way_out}")
        check_finite(name, adapter)
    for adapter in found.values():
        adapter.shift(sign)
    return module


def check_finite(name, adapter):
    """A change that holds nan must not reach its matrix, which would be lost with it."""
    if not adapter.merged and not adapter.delta().isfinite().all():
        raise ValueError(
            f"{name or 'the module'} has learned nan or inf, and merging would leave nothing of its matrix: take the "
            f"adapter from before the run that broke it"
        )


def unload(model):
    """Merge what is not merged yet and leave plain linear maps, frozen, in place of the adapters; in place."""
    for name, adapter in adapters(model).items():
        if not name:
            raise ValueError("unload takes the model around the adapters: of a single one, merge(it).linear is the map")
        check_finite(name, adapter)
    for name, adapter in adapters(model).items():
        if not adapter.merged:
            adapter.shift(1)
        put(model, name, adapter.linear)
    return model


def trainable(model):
    """How many numbers are trained."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def shapes(config):
    """The matrices of one layer by name, (O, N) each, from a model's Config alone."""
    D, M, kv = config.width, config.ffn, config.kv_heads * config.head_width
    return {"q": (D, D), "k": (kv, D), "v": (kv, D), "out": (D, D), "gate": (M, D), "up": (M, D), "down": (D, M)}


def adapter_size(shapes, rank):
    r"""$\sum r\,(N+O)$: how many numbers LoRA trains beside matrices of these shapes (O, N)."""
    return sum(rank * (outputs + inputs) for outputs, inputs in shapes)


def added(config, rank, where=ALL):
    """How many numbers LoRA trains in a model of that shape, beside the matrices named by where in every layer."""
    sizes = shapes(config)
    return config.layers * adapter_size([sizes[name] for name in where], rank)


def check(linear, rank, alpha):
    """Say what does not fit before it is built."""
    if not isinstance(linear, nn.Linear):
        got = type(linear).__name__
        raise TypeError(f"an adapter stands beside a torch.nn.Linear, got {got}: give it the linear map")
    most = min(linear.weight.shape)
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= most:
        raise ValueError(
            f"rank must be a whole number from 1 to {most} for a matrix of shape {tuple(linear.weight.shape)}, got "
            f"{rank!r}: a product of higher rank has more parameters than the matrix and says nothing more"
        )
    if not isinstance(alpha, (int, float)) or isinstance(alpha, bool) or not 0 < alpha < math.inf:
        raise ValueError(f"alpha must be a number above 0, got {alpha!r}: alpha = rank leaves B A as it is")
