"""How many numbers a model learns, counted from its shape alone.

Nearly all of them sit in matrices: one row of the embedding per token, the projections of attention, and the three of
the gated network. Query heads share key-value heads, so keys and values cost less than queries; the output layer is the
embedding again and costs nothing. Left out: biases, which TinyLM does not have.
"""


def parameters(config):
    """Learned numbers by part of the model.  Config -> {"embedding", "attention", "ffn", "norms"}"""
    keys_and_values = 2 * config.width * config.kv_heads * config.head_width
    return {
        "embedding": config.vocab * config.width,
        "attention": config.layers * (2 * config.width**2 + keys_and_values),
        "ffn": config.layers * 3 * config.width * config.ffn,
        "norms": (2 * config.layers + 1) * config.width,
    }
