"""Keys and values of the past, kept so that a new token costs one position and not all of them.

Room for every position is taken once; a step writes into it. Left out: paging and sharing of prefixes, which a server
with many users needs.

Shapes: B sequences, T new positions, K key-value heads, E width of a head.
"""


class Past:
    """What one layer remembers."""

    def __init__(self, rows, heads, positions, width, like):
        self.k, self.v = (like.new_empty(rows, heads, positions, width) for _ in range(2))
        self.length = 0

    def append(self, k, v):
        """Write (B, K, T, E) behind the past and return all of it, (B, K, past + T, E)."""
        start, self.length = self.length, self.length + k.shape[2]
        self.k[:, :, start : self.length], self.v[:, :, start : self.length] = k, v
        return self.k[:, :, : self.length], self.v[:, :, : self.length]

    def keep(self, rows):
        """Forget the sequences that are not in rows."""
        self.k, self.v = self.k[rows], self.v[rows]


def new_cache(model, rows, positions):
    """An empty past for every layer of the model."""
    c = model.config
    return [Past(rows, c.kv_heads, positions, c.head_width, model.embed.weight.detach()) for _ in model.layers]
