r"""Every byte of a training step, by formula.

Four things lie in memory while a model trains. Weights, gradients and what the optimizer remembers are counted per
parameter: so many bytes each, whatever the batch. Activations, kept from the forward for the backward pass, are counted
per token: the formula follows TinyLM's layer line by line and says what autograd keeps of each. At the peak, when the
backward pass begins, the slope of the loss at the logits is there as well, twice as large as the log-probabilities.
Left out: scratch space inside kernels, what an allocator loses, and what a framework takes for itself.

Letters: B sequences, T positions, V vocabulary, D width, H heads, K key-value heads, E width of a head, F width of
the network inside a layer.
"""

from dataclasses import dataclass

from llmrl.lm.size import parameters

NF4 = (4 + 8 / 64 + 32 / (64 * 256)) / 8  # bytes of a number: 4 bits, one byte per 64, four per 64 * 256 of them


@dataclass(frozen=True)
class Recipe:
    """Bytes for every trained number. Adam keeps two averages; a master is a more exact copy that it updates."""

    weight: float
    gradient: float
    averages: float
    master: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 16:
                raise ValueError(f"{name} must be bytes for one number, from 0 to 16, got {value!r}: float32 takes 4")

    @property
    def total(self):
        return self.weight + self.gradient + self.averages + self.master


RECIPES = {
    "float32": Recipe(4, 4, 8),
    "mixed precision": Recipe(2, 2, 8, 4),  # as Rajbhandari et al. 2019 count it
    "mixed, 8-bit Adam": Recipe(2, 2, 2, 4),
    "bfloat16 alone": Recipe(2, 2, 4),
}


def states(trained, recipe, frozen=0.0):
    """What lies there whatever the batch: {"weights", "gradients", "optimizer"} in bytes.

    trained: how many numbers are trained; frozen: bytes of the weights that are not
    """
    return {
        "weights": trained * recipe.weight + frozen,
        "gradients": trained * recipe.gradient,
        "optimizer": trained * (recipe.averages + recipe.master),
    }


def whole(config, tied=True):
    """How many parameters a model has; Llama 2 has an output matrix of its own (not tied)."""
    return sum(parameters(config).values()) + (0 if tied else config.vocab * config.width)


def frozen_bytes(config, matrix=2.0, other=2.0):
    """Bytes of a frozen, untied model: the layers' matrices at `matrix` bytes a number, embeddings, norms at `other`.

    matrix: 2 for a 16-bit base, NF4 for a 4-bit one
    """
    count = parameters(config)
    matrices = count["attention"] + count["ffn"]
    return matrices * matrix + (whole(config, tied=False) - matrices) * other


def per_token(config):
    """How many numbers a layer keeps for every token, by part.  -> {"norms", "attention", "network"}"""
    D, keys = config.width, config.kv_heads * config.head_width  # K E
    return {
        "norms": 2 * (2 * D + 1),  # both: what came in, that divided by its size, and the size
        "attention": 4 * D + 3 * keys + config.heads,  # input, q before and after turning, output; k twice, v; log-sums
        "network": D + 3 * config.ffn,  # input, gate, up, and the product of the two
    }


def layer_bytes(config, B, T, size=4, scores=False):
    """What one layer keeps of a batch; with scores the attention weights as well, H T numbers for every token."""
    return B * T * size * (sum(per_token(config).values()) + scores * config.heads * T)


def kept(config, B, T, size=4, scores=False):
    """What is kept from the forward to the backward pass of next_token_loss: bytes by part of the model.  -> dict"""
    _check(B, T)
    tokens, layer = B * T, per_token(config)
    found = {name: tokens * size * config.layers * numbers for name, numbers in layer.items()}
    found["attention"] += scores * tokens * size * config.layers * config.heads * T
    found["norms"] += tokens * size * (2 * config.width + 1)  # the last one
    found["output"] = tokens * size * (config.width + config.vocab)  # what it reads, and log-probabilities
    found["ids"] = tokens * (8 + 8 + 1) + 8 + 4 * T * config.head_width  # ids, the same moved by one, mask; rotations
    return found


def slopes(config, B, T, size=4):
    """The slope of the loss at log-probabilities and at logits: both are there when the backward pass begins."""
    return 2 * B * T * config.vocab * size


def checkpointed(config, B, T, size=4, segment=1):
    """Activations at the worst moment with a checkpoint around every `segment` layers, in bytes.

    Either the last segment is run again and its last layer's slopes, 3 F + D numbers a token, are on their way, or the
    backward pass has just begun, with logits and their slopes.
    """
    streams = -(-config.layers // segment) * B * T * config.width * size
    again = segment * layer_bytes(config, B, T, size) + B * T * size * (3 * config.ffn + config.width)
    return streams + max(again, kept(config, B, T, size)["output"] + slopes(config, B, T, size))


def step_peak(config, B, T, size=4, accumulating=False):
    """Bytes at the start of the backward pass of one step in one precision with Adam: the most a batch ever needs.

    accumulating: gradients of earlier micro-batches are there already. Holds where activations outweigh gradients.
    """
    fixed = states(whole(config), Recipe(size, size, 2 * size))
    held = fixed["weights"] + fixed["optimizer"] + accumulating * fixed["gradients"]
    return held + sum(kept(config, B, T, size).values()) + slopes(config, B, T, size)


def rows_that_fit(memory, fixed, row):
    """The largest micro-batch, a power of two, whose rows fit beside what is there anyway; 0 if none does.  bytes"""
    if row <= 0:
        raise ValueError(f"row must be the bytes that one more sequence takes, above 0, got {row!r}: measure two sizes")
    most = int((memory - fixed) // row)
    return 1 << (most.bit_length() - 1) if most > 0 else 0


def _check(B, T):
    for name, value in (("B", B), ("T", T)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, got {value!r}: B sequences of T tokens")
