"""Exercises on the inside of a language model.

Each checker probes the case somebody gets wrong: large scores, the first token, the last position, shared weights.
Left out: training, which has exercises of its own.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs
from llmrl.lm import size


def _shifted(x, largest):
    return x - largest - (x - largest).exp().sum(-1, keepdim=True).log()


@exercise(
    "lm.log_softmax",
    title="A log-softmax that survives large scores",
    signature="log_softmax(logits: (..., V)) -> (..., V)",
    solution="llmrl.lm.logprobs.log_softmax",
    minutes=8,
    difficulty=1,
    hints=(
        "log(e^a / sum e^b) is a - log sum e^b. Nothing needs to be divided.",
        "Subtracting one number from all scores changes nothing: subtract the largest, and no power exceeds 1.",
    ),
    wrong=(
        Wrong("small probabilities round to 0 and log(0) is -inf; never leave the logs", lambda x: x.softmax(-1).log()),
        Wrong("e to a large score overflows; subtract the largest first", lambda x: _shifted(x, 0.0)),
        Wrong(
            "e to a large score is infinite, and infinity by infinity is no number; subtract the largest, never divide",
            lambda x: (x.exp() / x.exp().sum(-1, keepdim=True)).log(),
        ),
        Wrong(
            "the sum ran over all rows; each row has a sum of its own, over the last dimension",
            lambda x: x - x.max() - (x - x.max()).exp().sum().log(),
        ),
        Wrong("subtract the largest of each row, not of the whole tensor", lambda x: _shifted(x, x.max())),
        Wrong("the sum runs over the last dimension, the vocabulary", lambda x: x.log_softmax(0)),
        Wrong("these are probabilities; their logarithm is wanted", lambda x: x.softmax(-1)),
        Wrong("the logarithm is the natural one, not base two", lambda x: x.log_softmax(-1) / torch.tensor(2.0).log()),
        Wrong("subtract the log of the sum of powers, not the sum of the scores", lambda x: x - x.sum(-1, True)),
    ),
)
def log_softmax(answer, solution):
    for case, logits in {
        "on two rows of four scores": torch.tensor([[1.0, 2.0, 3.0, 0.0], [0.0, 0.0, 0.0, 5.0]]),
        "on scores around 1000": torch.tensor([1000.0, 1001.0]),
        "on the scores 0 and 200": torch.tensor([0.0, 200.0]),
        "on one row far above the other": torch.tensor([[0.0, 1.0], [500.0, 501.0]]),
        "on scores of shape (2, 3, 4)": torch.arange(24.0).reshape(2, 3, 4),
    }.items():
        yield differs(answer(logits), solution(logits), case)


def _gathered(logits, ids):
    return logits.log_softmax(-1).gather(-1, ids[..., None]).squeeze(-1)


@exercise(
    "lm.token_logp",
    title="The log-probability of the tokens that came",
    signature="token_logp(logits: (B, T, V), ids: (B, T)) -> (B, T-1)",
    solution="llmrl.lm.logprobs.token_logp",
    minutes=12,
    difficulty=2,
    hints=(
        "The logits at position t are about the token at position t+1: drop the last logits and the first id.",
        "logp.gather(-1, ids[:, 1:, None]) picks one entry per position; squeeze its last dimension.",
    ),
    wrong=(
        Wrong(
            "a position's logits are about the next token, not about its own",
            lambda logits, ids: _gathered(logits, ids)[:, 1:],
        ),
        Wrong(
            "every token was read at its own place; position t is about token t+1, so T tokens give T-1 numbers",
            lambda logits, ids: _gathered(logits, ids),
        ),
        Wrong(
            "softmax has rounded a small probability to 0 before the log was taken; use log_softmax",
            lambda logits, ids: logits[:, :-1].softmax(-1).log().gather(-1, ids[:, 1:, None]).squeeze(-1),
        ),
        Wrong(
            "each token was read from the logits after it, which have already seen it",
            lambda logits, ids: _gathered(logits[:, 1:], ids[:, :-1]),
        ),
        Wrong(
            "nothing predicts the first token, so it gets no number",
            lambda logits, ids: F.pad(_gathered(logits[:, :-1], ids[:, 1:]), (1, 0)),
        ),
        Wrong(
            "raw scores were picked; log-softmax makes log-probabilities of them",
            lambda logits, ids: logits[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1),
        ),
        Wrong(
            "the softmax ran over positions; probabilities add up to one over the vocabulary",
            lambda logits, ids: logits.log_softmax(1)[:, :-1].gather(-1, ids[:, 1:, None]).squeeze(-1),
        ),
        Wrong(
            "the numbers were added up; one per token is wanted, so that a mask can still choose among them",
            lambda logits, ids: _gathered(logits[:, :-1], ids[:, 1:]).sum(-1),
        ),
        Wrong("these are probabilities; take the log", lambda logits, ids: _gathered(logits[:, :-1], ids[:, 1:]).exp()),
    ),
)
def token_logp(answer, solution):
    logits = torch.tensor([[[0.0, 1.0, 2.0], [3.0, 0.0, 1.0], [0.0, 2.0, 0.0]], [[1.0, 1.0, 0.0]] * 3])  # (2, 3, 3)
    ids = torch.tensor([[0, 2, 1], [2, 1, 0]])
    yield differs(answer(logits, ids), solution(logits, ids), "on two texts of three tokens")
    far = torch.tensor([[[0.0, 200.0, 0.0], [0.0, 0.0, 0.0]]]), torch.tensor([[1, 0]])
    yield differs(answer(*far), solution(*far), "on scores 200 apart")
    one = torch.zeros(1, 1, 3), torch.zeros(1, 1, dtype=torch.long)
    yield differs(answer(*one), solution(*one), "on a text of one token, where nothing is predicted")


def _choice(scores):
    return scores.softmax(-1), scores.argmax(-1)


@exercise(
    "lm.next_token",
    title="From hidden states to the next token",
    signature="next_token(hidden: (B, T, D), embedding: (V, D)) -> probabilities (B, V), best (B,)",
    solution="llmrl.lm.output.next_token",
    minutes=10,
    difficulty=1,
    hints=(
        "Only the last position says what comes next: hidden[:, -1] has shape (B, D).",
        "A product with embedding.T compares that vector with every token's row; softmax makes probabilities of it.",
    ),
    wrong=(
        Wrong("the first position was read; the last one says what comes next", lambda h, e: _choice(h[:, 0] @ e.T)),
        Wrong("positions were averaged; the last one says what comes next", lambda h, e: _choice(h.mean(1) @ e.T)),
        Wrong("every position gave an answer; only the last one's is wanted", lambda h, e: _choice(h @ e.T)),
        Wrong(
            "these are scores; softmax makes probabilities of them",
            lambda h, e: (h[:, -1] @ e.T, _choice(h[:, -1] @ e.T)[1]),
        ),
        Wrong(
            "the softmax ran over the batch, so one text's probabilities depend on another's",
            lambda h, e: ((h[:, -1] @ e.T).softmax(0), _choice(h[:, -1] @ e.T)[1]),
        ),
        Wrong(
            "the best text for each token was picked, not the best token for each text",
            lambda h, e: (_choice(h[:, -1] @ e.T)[0], (h[:, -1] @ e.T).argmax(0)),
        ),
        Wrong(
            "one place was picked for the whole batch; argmax(-1) picks one token for each text",
            lambda h, e: (_choice(h[:, -1] @ e.T)[0], (h[:, -1] @ e.T).argmax()),
        ),
    ),
)
def next_token(answer, solution):
    hidden = torch.tensor([[[2.0, 0.0], [0.0, 1.0], [1.0, -1.0]], [[0.0, 2.0], [1.0, 1.0], [-1.0, 0.5]]])  # (2, 3, 2)
    embedding = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [1.0, 1.0]])  # (4, 2)
    yield differs(answer(hidden, embedding), solution(hidden, embedding), "on two texts of three positions")


@dataclass(frozen=True)
class _Shape:
    """The numbers of a Config that decide how many parameters a model has."""

    vocab: int
    width: int
    layers: int
    heads: int
    kv_heads: int
    ffn: int

    @property
    def head_width(self):
        return self.width // self.heads


def _slip(part, count):
    return lambda c: size.parameters(c) | {part: count(c)}


def _one_layer(*parts):
    """A count in which these parts of a layer were taken once, however many layers there are."""
    return lambda c: (whole := size.parameters(c)) | {part: whole[part] // c.layers for part in parts}


@exercise(
    "lm.parameters",
    title="Count a model's parameters from its shape",
    signature="parameters(config with vocab, width, layers, heads, kv_heads, head_width, ffn) -> "
    '{"embedding": int, "attention": int, "ffn": int, "norms": int}',
    solution="llmrl.lm.size.parameters",
    minutes=15,
    difficulty=2,
    hints=(
        "Attention has four matrices: queries and output are D x D, keys and values only D x (kv_heads · head_width).",
        "The gated network has three D x ffn matrices. Two norms per layer and one at the end have D numbers each.",
    ),
    wrong=(
        Wrong(
            "the output layer is the embedding again and costs nothing",
            _slip("embedding", lambda c: 2 * c.vocab * c.width),
        ),
        Wrong(
            "query heads share keys and values, which are only kv_heads · head_width wide",
            _slip("attention", lambda c: c.layers * 4 * c.width**2),
        ),
        Wrong(
            "the output projection of attention is missing",
            _slip("attention", lambda c: c.layers * c.width * (c.width + 2 * c.kv_heads * c.head_width)),
        ),
        Wrong(
            "the gated network has three matrices: gate, up, down",
            _slip("ffn", lambda c: c.layers * 2 * c.width * c.ffn),
        ),
        Wrong("every layer has a network of its own", _one_layer("ffn")),
        Wrong("every layer has an attention of its own", _one_layer("attention")),
        Wrong("attention and network come once per layer; multiply both by layers", _one_layer("attention", "ffn")),
        Wrong(
            "attention, network and two norms come once per layer; multiply all three by layers",
            lambda c: _one_layer("attention", "ffn")(c) | {"norms": 3 * c.width},
        ),
        Wrong("one more norm follows the last layer", _slip("norms", lambda c: 2 * c.layers * c.width)),
    ),
)
def parameters(answer, solution):
    for shape in (_Shape(10, 8, 2, 4, 2, 20), _Shape(512, 128, 4, 4, 2, 352), _Shape(7, 6, 1, 3, 3, 5)):
        yield differs(answer(shape), solution(shape), f"for {shape.layers} layers of width {shape.width}")


def _adder(ids):
    """A model whose next token is one more than the sum of all tokens so far, modulo 5.  (B, T) -> (B, T, 5)"""
    return F.one_hot((ids.cumsum(1) + 1) % 5, 5).float()


def _loop(model, ids, rounds, read=lambda logits: logits[:, -1].argmax(-1), seen=lambda ids: ids):
    for _ in range(rounds):
        ids = torch.cat([ids, read(model(seen(ids)))[:, None]], 1)
    return ids


@exercise(
    "lm.greedy",
    title="One token at a time",
    signature="greedy(model, ids: (B, T), max_new) -> (B, T + max_new), where model(ids: (B, T)) -> logits (B, T, V)",
    solution="llmrl.lm.decoding.greedy",
    minutes=12,
    difficulty=2,
    hints=(
        "A loop of max_new rounds: read the logits at the last position, take the best token, append it to the ids.",
        "torch.cat([ids, token[:, None]], dim=1) appends a column; the next round sees the longer text.",
    ),
    wrong=(
        Wrong(
            "the model was asked once; ask it again for every new token",
            lambda m, ids, n: torch.cat([ids, m(ids)[:, -1:].argmax(-1).repeat(1, n)], 1),
        ),
        Wrong(
            "the model saw only the newest token; without a cache it remembers nothing of the text before",
            lambda m, ids, n: _loop(m, ids, n, seen=lambda ids: ids[:, -1:]),
        ),
        Wrong(
            "a model without a cache has to read the whole text every round, not only at first",
            lambda m, ids, n: torch.cat([ids, _loop(m, _loop(m, ids, 1)[:, -1:], n - 1, seen=lambda x: x[:, -1:])], 1),
        ),
        Wrong("the first position was read", lambda m, ids, n: _loop(m, ids, n, read=lambda z: z[:, 0].argmax(-1))),
        Wrong("the text itself comes first, then what is new", lambda m, ids, n: _loop(m, ids, n)[:, ids.shape[1] :]),
        Wrong("there was one round too many", lambda m, ids, n: _loop(m, ids, n + 1)),
        Wrong(
            "every text got the first one's token",
            lambda m, ids, n: _loop(m, ids, n, read=lambda z: z[:1, -1].argmax(-1).expand(len(z))),
        ),
    ),
)
def greedy(answer, solution):
    ids = torch.tensor([[1, 2], [3, 1]])
    yield differs(answer(_adder, ids, 3), solution(_adder, ids, 3), "on [1, 2] and [3, 1] with three tokens to add")
    one = torch.tensor([[4]])
    yield differs(answer(_adder, one, 1), solution(_adder, one, 1), "on the text [4] with one token to add")
