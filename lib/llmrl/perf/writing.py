r"""What it costs to write a text token by token: arithmetic, and bytes read, with a cache and without.

A pass over n new positions with t of them and their past makes $2nW$ operations in products with the W weights of
matrices, and looks back from every new position over all t, $4ntD$ in each layer. Without a cache every token is a pass
over the whole text; with one it is a pass over a single position. What a cache does not save: reading the prompt, the
look back, and that every pass reads all weights from memory, and the whole cache. The bytes it reads are the measure
of decoding, because arithmetic is not: with one text there are two operations per weight read.
Left out: embeddings' look-up, norms, rotations, softmax; and the triangle that a causal pass could leave out.

Shapes: W weights in matrices, D width, L layers, n new positions, t positions in all.
"""

from dataclasses import dataclass

from llmrl.lm.attention import kv_bytes
from llmrl.lm.size import parameters


@dataclass(frozen=True)
class Work:
    """Operations: products with weights, and looks back over keys and values."""

    products: int
    look_back: int

    @property
    def total(self):
        return self.products + self.look_back


def pass_work(config, new, length):
    """One pass over `new` positions of a text that is then `length` long; the last position alone is scored."""
    parts = parameters(config)
    layers = parts["attention"] + parts["ffn"]
    return Work(2 * (new * layers + parts["embedding"]), 4 * new * length * config.width * config.layers)


def writing_work(config, prompt, new, cached):
    """The passes that write `new` tokens after a prompt.  -> list of Work"""
    if prompt < 1 or new < 1:
        raise ValueError(f"prompt and new must be 1 or more, got {prompt} and {new}: a text starts somewhere")
    if not cached:
        return [pass_work(config, t, t) for t in range(prompt, prompt + new)]
    return [pass_work(config, prompt, prompt)] + [pass_work(config, 1, t) for t in range(prompt + 1, prompt + new)]


def decode_intensity(weights, cache_bytes, look_back, texts, size=2):
    """Operations per byte of memory read when each of `texts` texts gets one more token.

    weights: numbers in matrices, `size` bytes each; cache_bytes and look_back: of one text.
    """
    return texts * (2 * weights + look_back) / (size * weights + texts * cache_bytes)


def next_token(config, length, texts, size=2):
    """decode_intensity of a model whose `texts` texts are `length` long."""
    weights = sum(parameters(config).values()) - parameters(config)["norms"]
    cache = kv_bytes(config.layers, config.kv_heads, config.head_width, length, size)
    return decode_intensity(weights, cache, 4 * length * config.width * config.layers, texts, size)
