r"""TinyLM: a Llama-shaped decoder, small enough to read in one sitting and to train on one core.

Tokens become vectors; every layer adds what attention finds in the past and what a gated network makes of it to a
residual stream; the embedding matrix, read backwards, turns the stream into a score for every possible next token:
$x \leftarrow x + \mathrm{attention}(\mathrm{norm}(x))$, then $x \leftarrow x + \mathrm{ffn}(\mathrm{norm}(x))$.
Positions enter as rotations of queries and keys. The projections that read the same vector (q, k, v; gate, up) are one
matrix each, because one large product is faster than several small ones. Left out: dropout, biases, long-context
scaling of the rotation.

Shapes: B sequences, T positions, V vocabulary, D width, H heads, K key-value heads, E = D/H width of a head.
"""

import math
from dataclasses import asdict, dataclass

import torch
import torch.nn.functional as F
from torch import nn

from llmrl import seeds
from llmrl.lm import llama


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
    rope_base: float = 10000.0
    eps: float = 1e-5

    def __post_init__(self):
        for name in ("vocab", "width", "layers", "heads", "kv_heads", "ffn", "context"):
            size = getattr(self, name)
            if not isinstance(size, int) or isinstance(size, bool) or size < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, got {size!r}: Config() has sizes that work")
        for name in ("rope_base", "eps"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)!r}: Config() has values that work")
        if self.width % self.heads:
            raise ValueError(f"width must be a multiple of heads, got {self.width} and {self.heads}: every head reads an equal share")
        if self.head_width % 2:
            raise ValueError(
                f"width / heads must be even, got {self.width} / {self.heads} = {self.head_width}: a rotation turns pairs of "
                f"numbers, choose another width or number of heads"
            )
        if self.heads % self.kv_heads:
            raise ValueError(
                f"heads must be a multiple of kv_heads, got {self.heads} and {self.kv_heads}: equally many query heads share "
                f"each key-value head, choose a divisor of {self.heads}"
            )

    @property
    def head_width(self):
        return self.width // self.heads


class Linear(nn.Linear):
    """A matrix without bias. TinyLM draws its entries, from a stream of its own and not from the global generator."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs, bias=False)

    def reset_parameters(self):
        pass


class Embedding(nn.Embedding):
    """One row per token. TinyLM draws its entries."""

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
    r"""$e^{ip\theta_j}$ with $\theta_j=\beta^{-2j/E}$: how far position p turns pair j.  (.., T) -> complex (.., T, E/2)"""
    pairs = torch.arange(0, config.head_width, 2, device=positions.device)
    angle = positions[..., None] / config.rope_base ** (pairs / config.head_width)
    return torch.polar(torch.ones_like(angle), angle)


def rotate(x, turn):
    """Turn each pair (x_j, x_{j+E/2}) of a head, read as a complex number.  (B, H, T, E) -> (B, H, T, E)

    The two of a pair come out as neighbours. Queries and keys are reordered alike, so their products stay the same.
    """
    real, imaginary = x.chunk(2, dim=-1)
    return torch.view_as_real(torch.complex(real, imaginary) * turn).flatten(-2)


class Attention(nn.Module):
    """Every position asks all positions up to its own; equally many query heads share each key-value head."""

    def __init__(self, config):
        super().__init__()
        self.head_width, kv_width = config.head_width, config.kv_heads * config.head_width
        self.q, self.out = Linear(config.width, config.width), Linear(config.width, config.width)
        self.k, self.v = Linear(config.width, kv_width), Linear(config.width, kv_width)

    def forward(self, x, turn, visible=None, past=None):
        q, k, v = (w(x).unflatten(-1, (-1, self.head_width)).transpose(1, 2) for w in (self.q, self.k, self.v))
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
        return self.down(F.silu(self.gate(x)) * self.up(x))


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
        self.config = config
        self.embed = Embedding(config.vocab, config.width)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.layers))
        self.norm = RMSNorm(config.width, config.eps)
        self.initialise(generator or seeds.rng(seeds.base_seed(), "lm", "initial weights"))

    @torch.no_grad()
    def initialise(self, generator):
        """Normal with deviation 0.02; what writes to the stream by 1/sqrt(2 layers) less, so that depth does not blow it up."""
        for name, weight in self.named_parameters():
            if weight.dim() == 2:
                writes = name.endswith(("attention.out.weight", "ffn.down.weight"))
                weight.normal_(0, 0.02 / math.sqrt(2 * self.config.layers) if writes else 0.02, generator=generator)

    def forward(self, ids, mask=None, cache=None):
        return self.unembed(self.hidden(ids, mask, cache))

    def hidden(self, ids, mask=None, cache=None):
        """What the last layer leaves, normed.  ids (B, T) -> (B, T, D)"""
        for x in self.walk(ids, mask, cache):  # noqa: B007
            pass
        return self.norm(x)

    def residuals(self, ids, mask=None):
        """The stream before the first layer and after each: norm and unembed one for the logit lens.  (layers+1, B, T, D)"""
        return torch.stack(list(self.walk(ids, mask)))

    def unembed(self, hidden):
        """(.., D) -> (.., V), by the transposed embedding."""
        return F.linear(hidden, self.embed.weight)

    def walk(self, ids, mask=None, cache=None):
        """Yield the stream before the first layer and after each.

        ids (B, T); mask (B, past + T) is False on padding to the left; cache, from `new_cache`, holds the past and takes
        what is new. Padding to the right needs no mask: nobody looks ahead.
        """
        seen = cache[0].length if cache else 0
        self.check(ids, mask, seen)
        turn, visible = turns(count(ids, mask, seen), self.config), look_back(ids, mask, seen)
        x = self.embed(ids)  # (B, T, D)
        yield x
        for i, layer in enumerate(self.layers):
            x = layer(x, turn, visible, cache[i] if cache else None)
            yield x

    def check(self, ids, mask, seen):
        """Say what is wrong with ids or mask before an index error far inside does."""
        if not torch.is_tensor(ids) or ids.dtype != torch.long or ids.dim() != 2 or 0 in ids.shape:
            got = f"{ids.dtype} of shape {tuple(ids.shape)}" if torch.is_tensor(ids) else type(ids).__name__
            raise TypeError(
                f"ids must be a torch.long tensor of shape (B, T) with at least one token, got {got}: "
                f"torch.tensor([tokenizer.encode(text)]) is a batch of one"
            )
        lowest, highest = (int(end) for end in ids.aminmax())
        if lowest < 0 or highest >= self.config.vocab:
            raise ValueError(
                f"ids must be in [0, {self.config.vocab}), got {lowest if lowest < 0 else highest}: "
                f"encode the text with the tokenizer this model was trained with"
            )
        if seen + ids.shape[1] > self.config.context:
            raise ValueError(
                f"a text of {seen + ids.shape[1]} tokens does not fit in a context of {self.config.context}: "
                f"cut it, or build the model with Config(context=...)"
            )
        if mask is not None and (mask.dtype != torch.bool or mask.shape != (ids.shape[0], seen + ids.shape[1])):
            raise ValueError(
                f"mask must be bool of shape {(ids.shape[0], seen + ids.shape[1])}, got {mask.dtype} of shape "
                f"{tuple(mask.shape)}: True on tokens, False on padding to the left"
            )

    def to_transformers(self):
        """The same model as transformers' LlamaForCausalLM: equal logits, its own copy of the weights."""
        return llama.build(asdict(self.config), self.state_dict())

    @classmethod
    def from_transformers(cls, hf):
        """A copy of a LlamaForCausalLM with tied embeddings and plain rotations."""
        return cls.from_llama(hf.config.to_dict(), hf.state_dict(), type(hf).__name__)

    @classmethod
    def from_llama(cls, settings, weights, source):
        """A model from what the hub stores: the settings of config.json and the weights under Llama's names."""
        model = cls(Config(**llama.read_settings(settings, source)))
        shapes = {name: weight.shape for name, weight in model.named_parameters()}
        weights = llama.read_weights(model.config.layers, weights, shapes, source)
        model.to(weights["embed.weight"]).load_state_dict(weights)
        return model

    def save(self, folder):
        """Write config.json and model.safetensors, as transformers would."""
        return llama.save(folder, asdict(self.config), self.state_dict())

    @classmethod
    def load(cls, folder):
        """Read what `save` wrote, or any small Llama from the hub; in evaluation mode."""
        return cls.from_llama(*llama.load(folder), source=str(folder)).eval()


def count(ids, mask, seen):
    """The positions of ids: a row counts from its first token, wherever padding puts it.  (T,) or (B, 1, T)"""
    if mask is None:
        return torch.arange(seen, seen + ids.shape[1], device=ids.device)
    return (mask.cumsum(1) - 1).clamp(min=0)[:, None, seen:]


def look_back(ids, mask, seen):
    """Who may look at whom: None for plain causal attention or one last token, else bool (B or 1, 1, T, past + T)."""
    length = ids.shape[1]
    if mask is None and (seen == 0 or length == 1):
        return None
    causal = torch.ones(length, seen + length, dtype=torch.bool, device=ids.device).tril(seen)
    if mask is None:
        return causal[None, None]
    alone = torch.eye(length, dtype=torch.bool, device=ids.device)  # padding sees itself: a softmax over nothing is nan
    alone = F.pad(alone, (seen, 0))
    return (causal & mask[:, None, None, :]) | alone
