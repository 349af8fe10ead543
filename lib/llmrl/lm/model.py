r"""TinyLM: a Llama-shaped decoder, small enough to read in one sitting and to train on one core.

Tokens become vectors; every layer adds what attention finds in the past and what a gated network makes of it to a
residual stream; the embedding matrix, read backwards, turns the stream into a score for every possible next token:
$x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x))$, then $x \leftarrow x + \mathrm{ffn}(\mathrm{norm}(x))$.
Positions enter as rotations of queries and keys, or by another scheme of the module `scheme`. Logits equal those of
transformers' Llama on the same weights. Left out: dropout, biases.

Shapes: B sequences, T positions, V vocabulary, D width, H heads, K key-value heads, E = D/H width of a head.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from llmrl import seeds
from llmrl.lm import batch, llama
from llmrl.lm.product import product
from llmrl.lm.scheme import Rotary, Scheme
from llmrl.lm.swiglu import swiglu


@dataclass(frozen=True)
class Config:
    """The size of a model."""

    vocab: int = 512  # V
    width: int = 128  # D
    layers: int = 4
    heads: int = 4  # H
    kv_heads: int = 2  # K
    ffn: int = 352
    context: int = 256
    rope_base: float = 10000.0  # beta
    eps: float = 1e-5
    scheme: Scheme = Rotary()  # how positions are told

    def __post_init__(self):
        for name in ("vocab", "width", "layers", "heads", "kv_heads", "ffn", "context"):
            size = getattr(self, name)
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {size!r}: the defaults work")
        for name in ("rope_base", "eps"):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or not 0 < value < math.inf:
                raise ValueError(f"{name} must be a number above 0, got {value!r}: the defaults work")
        if self.width % (2 * self.heads):
            raise ValueError(
                f"width must be a multiple of 2 * heads, got width {self.width} and heads {self.heads}: every head "
                f"reads an equal share, which the rotation cuts into pairs"
            )
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads, got {self.heads} and {self.kv_heads}: equally many query heads "
                f"share each key-value head, choose a divisor of {self.heads}"
            )
        if not isinstance(self.scheme, Scheme):
            raise ValueError(f"scheme must be a Scheme, got {self.scheme!r}: Rotary() is the usual one")
        self.scheme.check(self)

    @property
    def head_width(self):
        return self.width // self.heads

    def settings(self):
        """The fields that Llama has, too, as a dictionary; what Llama cannot be is refused."""
        if self.scheme != Rotary():
            raise ValueError(
                f"scheme must be Rotary() in the hub's format, got {str(self.scheme)[:80]}: Llama has no name for it, "
                f"keep state_dict() and the Config instead"
            )
        return {name: value for name, value in asdict(self).items() if name != "scheme"}


class Linear(nn.Linear):
    r"""$xW^\top$, without bias. Whoever builds it fills it, from a stream of random numbers of his own."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self):
        pass

    def forward(self, x):
        return product(x, self.weight)


class Embedding(nn.Embedding):
    """One row per token. Whoever builds it fills it."""

    def reset_parameters(self):
        pass


class RMSNorm(nn.Module):
    r"""$\frac{x}{\sqrt{\mathrm{mean}(x^2)+\epsilon}}\odot w$"""

    def __init__(self, width, eps):
        super().__init__()
        self.weight, self.eps = nn.Parameter(torch.ones(width)), eps

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


def turns(positions, config):
    r"""$e^{ip\theta_j}$ with $\theta_j=\beta^{-2j/E}$: how far position p turns pair j.  (.., T) -> (.., T, E/2)"""
    return config.scheme.turns(positions, config)


def rotate(x, turn):
    """Turn each pair (x_j, x_{j+E/2}) of a head, read as a complex number.  (B, H, T, E) -> (B, H, T, E)

    The two of a pair come out as neighbours. Queries and keys are reordered alike, so their products stay the same.
    """
    real, imaginary = x.to(torch.promote_types(x.dtype, torch.float32)).chunk(2, dim=-1)
    return torch.view_as_real(torch.complex(real, imaginary) * turn).flatten(-2).to(x.dtype)


class Attention(nn.Module):
    """Every position asks all positions up to its own; equally many query heads share each key-value head."""

    def __init__(self, config):
        super().__init__()
        self.head_width, kv_width = config.head_width, config.kv_heads * config.head_width
        self.q, self.out = Linear(config.width, config.width), Linear(config.width, config.width)
        self.k, self.v = Linear(config.width, kv_width), Linear(config.width, kv_width)

    def forward(self, x, turn, visible=None, past=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2) for w in (self.q, self.k, self.v))
        if turn is not None:
            q, k = rotate(q, turn), rotate(k, turn)  # (B, H, T, E) and (B, K, T, E)
        if past is not None:
            k, v = past.append(k, v)  # (B, K, past + T, E)
        causal = visible is None and q.shape[2] > 1
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, is_causal=causal, enable_gqa=True)
        return self.out(y.transpose(1, 2).flatten(2))  # (B, T, D)


class FFN(nn.Module):
    r"""SwiGLU: $W_{down}\,(\mathrm{silu}(W_{gate}x)\odot W_{up}x)$"""

    def __init__(self, config):
        super().__init__()
        self.gate, self.up = Linear(config.width, config.ffn), Linear(config.width, config.ffn)
        self.down = Linear(config.ffn, config.width)

    def forward(self, x):
        return self.down(swiglu(self.gate(x), self.up(x)))


class Layer(nn.Module):
    """Read the stream, add to the stream; twice."""

    def __init__(self, config):
        super().__init__()
        self.attention_norm, self.attention = RMSNorm(config.width, config.eps), Attention(config)
        self.ffn_norm, self.ffn = RMSNorm(config.width, config.eps), FFN(config)

    def forward(self, x, turn, visible=None, past=None):
        x = x + self.attention(self.attention_norm(x), turn, visible, past)
        return x + self.ffn(self.ffn_norm(x))


class TinyLM(nn.Module):
    """A decoder-only language model.  ids (B, T) -> logits (B, T, V)"""

    def __init__(self, config, generator=None):
        super().__init__()
        if not isinstance(config, Config):
            raise TypeError(f"config must be a Config, got {config!r}: TinyLM(Config(width=64)) names what differs")
        self.config = config
        self.embed = Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.eps)
        self.initialise(generator or seeds.rng(seeds.base_seed(), "lm", "initial weights"))

    @torch.no_grad()
    def initialise(self, generator):
        """Normal with deviation 0.02; divided by sqrt(2 layers) where a layer adds to the stream, which has so many."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                adds = name.endswith(("attention.out.weight", "ffn.down.weight"))
                weight.normal_(0, 0.02 / math.sqrt(2 * self.config.layers) if adds else 0.02, generator=generator)

    def forward(self, ids, mask=None, cache=None, segments=None):
        return self.unembed(self.hidden(ids, mask, cache, segments))

    def hidden(self, ids, mask=None, cache=None, segments=None):
        """What the last layer leaves, normed.  ids (B, T) -> (B, T, D)"""
        *_, last = self.walk(ids, mask, cache, segments)
        return self.norm(last)

    def residuals(self, ids, mask=None, segments=None):
        """The stream before the first layer and after each, for the logit lens.  ids (B, T) -> (layers+1, B, T, D)"""
        return torch.stack(list(self.walk(ids, mask, segments=segments)))

    def unembed(self, hidden):
        """Scores by the transposed embedding.  (B, T, D) -> (B, T, V)"""
        return product(hidden, self.embed.weight)

    def walk(self, ids, mask=None, cache=None, segments=None):
        """Yield the stream before the first layer and after each.  ids (B, T) -> layers+1 times (B, T, D)

        mask (B, past + T) is False on padding to the left, to the right it needs none; segments (B, T) number the texts
        that share a row, 0 on padding; cache, made by new_cache, holds the past and takes up what is new.
        """
        mask, past = batch.check(ids, mask, cache, self.config, segments), batch.remembered(cache)
        where, scheme = batch.positions(ids, mask, past), self.config.scheme
        turn, x = turns(where, self.config), scheme.mark(self.embed(ids), where)  # x (B, T, D)
        visible = scheme.look_back(ids, mask, past, x)
        yield x
        for layer, memory in zip(self.layers, cache or [None] * len(self.layers)):
            x = layer(x, turn, visible, memory)
            yield x

    def to_transformers(self):
        """The same model as transformers' LlamaForCausalLM: equal logits, its own copy of the weights."""
        return llama.build(self.config.settings(), self.state_dict())

    @classmethod
    def from_transformers(cls, hf):
        """A copy of a LlamaForCausalLM with tied embeddings and plain rotations."""
        return cls.from_llama(hf.config.to_dict(), hf.state_dict(), type(hf).__name__)

    @classmethod
    def from_llama(cls, settings, weights, source):
        """A model from what the hub stores: the settings of config.json and the weights under Llama's names."""
        try:
            config = Config(**llama.read_settings(settings))
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from None
        model = cls(config)
        shapes = {name: weight.shape for name, weight in model.named_parameters()}
        weights = llama.read_weights(model.config.layers, weights, shapes, source)
        model.to(weights["embed.weight"]).load_state_dict(weights)
        return model

    def save(self, folder):
        """Write config.json and model.safetensors as transformers would, and return the folder."""
        return llama.save(folder, self.config.settings(), self.state_dict())

    @classmethod
    def load(cls, folder):
        """Read what save wrote, or any Llama of this shape from the hub; in evaluation mode."""
        return cls.from_llama(*llama.load(folder), source=str(folder)).eval()
