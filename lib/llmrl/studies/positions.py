r"""Small models trained on windows of 64 tokens and read on windows of 512: what happens past the trained length.

Three schemes (sinusoidal, RoPE, ALiBi) see the same batches, from three seeds each. Then the RoPE models are stretched
without new weights, by each method and by two misprints of a formula, and once more after a short tuning on windows of
256. What is kept is the loss by position: position t of a window is predicted from t tokens before it. A window holds
many short documents, so a far look back brings nothing new: a loss that rises comes from positions, not from the text.
One model of each scheme is shipped, in half precision, so that a lesson can measure a part of this anew.
Left out: larger models, texts in which far things matter.

Shapes: B windows, T positions.
"""

import json
from functools import partial

import torch
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes

from llmrl import seeds
from llmrl.lm.context import stretched
from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.positions import frequencies
from llmrl.lm.scheme import Alibi, Rotary, Sinusoidal, retold
from llmrl.lm.training import Plan, text_batches, train
from llmrl.storage import write_whole
from llmrl.toy import checkpoints, files
from llmrl.toy.make import SEED

TRAINED, LENGTH, BUCKET, WINDOWS, SEEDS = 64, 512, 16, 48, 3
SCHEMES = {"sinusoidal": Sinusoidal(), "rope": Rotary(), "alibi": Alibi(4)}
METHODS, SCALES, TUNED_SCALE = ("interpolation", "ntk", "yarn"), (2, 4, 8), 4
TRAINING = Plan(steps=1000, lr=5e-3, warmup=50, final=0.02)
TUNING = Plan(steps=60, lr=1e-3, warmup=5)
RESULT, MODELS = "studies/positions.json", "studies/positions.safetensors"


def config(scheme):
    """One size for every scheme; the context is what a model may be asked, not what it was trained on."""
    return Config(width=64, layers=2, heads=4, kv_heads=4, ffn=176, context=LENGTH, scheme=SCHEMES[scheme])


def read(name):
    """A shipped text as one row of ids, its documents each closed by <|endoftext|>."""
    return torch.tensor(checkpoints.tokenizer().encode_documents(files.read_text(name)))


def windows(ids, length=LENGTH, count=WINDOWS):
    """Windows that lie evenly over a text.  ids (N,) -> (count, length)"""
    starts = torch.linspace(0, len(ids) - length, count).long()
    return ids[starts[:, None] + torch.arange(length)]


@torch.no_grad()
def losses(model, rows):
    """The loss of every token but the first of its window.  rows (B, T) -> (B, T-1)"""
    return torch.cat([-token_logp(model(part), part) for part in rows.split(16)])


def bucketed(loss, bucket=BUCKET):
    """Means over windows and over positions 1..15, 16..31, and so on, rounded.  (B, T-1) -> T / bucket numbers"""
    parts = loss.mean(0).split([bucket - 1] + [bucket] * (loss.shape[1] // bucket))
    return [round(part.mean().item(), 4) for part in parts]


def trained(scheme, seed, corpus):
    """A model of the scheme, in the precision in which it is shipped."""
    model = TinyLM(config(scheme), seeds.rng(SEED, "positions", scheme, seed))
    batch = text_batches(corpus, 32, TRAINED, lambda step: seeds.rng(SEED, "positions", "batch", seed, step))
    for _ in train(model, batch, TRAINING):
        pass
    return model.half().float()


def tuned(model, scheme, seed, corpus):
    """The same weights, told positions by the scheme, and trained a little on longer windows."""
    longer = TinyLM(retold(model, scheme).config)
    longer.load_state_dict(model.state_dict())
    batch = text_batches(corpus, 8, 256, lambda step: seeds.rng(SEED, "positions", "tuning", seed, step))
    for _ in train(longer, batch, TUNING):
        pass
    return longer


def misprints(width, base, scale):
    """The two formulas as they are sometimes printed: both speed slow pairs up instead of slowing them down."""
    theta, pairs = frequencies(width, base), torch.arange(width // 2)
    slow = theta * TRAINED < 2 * torch.pi  # not once round within the trained length
    return {"ntk misprinted": theta * scale ** (2 * pairs / width), "yarn misprinted": theta * (1 + (scale - 1) * slow)}


def schemes(c):
    """Every way to stretch the RoPE models, by name: "ntk x4"."""
    for scale in SCALES:
        for how in METHODS:
            yield f"{how} x{scale}", stretched(how, c, scale, TRAINED)
    yield "yarn x4, strength 1", Rotary(stretched("yarn", c, 4, TRAINED).frequencies)
    for name, theta in misprints(c.head_width, c.rope_base, 4).items():
        yield f"{name} x4", Rotary(tuple(theta.tolist()))


def tuned_schemes(c):
    """What is tuned: RoPE as it is, and stretched by each method."""
    yield "rope tuned", Rotary()
    for how in METHODS:
        yield f"{how} x{TUNED_SCALE} tuned", stretched(how, c, TUNED_SCALE, TRAINED)


def make(kept):
    corpus, rows = read("corpus.txt"), windows(read("heldout.txt"))
    measured, models = {}, {}

    def measure(name, seed, model_of):
        loss = kept(f"{name}, seed {seed}", lambda: bucketed(losses(model_of(), rows)))
        measured.setdefault(name, []).append(loss)

    for seed in range(SEEDS):
        for name in SCHEMES:
            models[name, seed] = remembered(kept, name, seed, corpus)
            measure(name, seed, partial(models.get, (name, seed)))
        model = models["rope", seed]
        for name, scheme in schemes(model.config):
            measure(name, seed, partial(retold, model, scheme))
        for name, scheme in tuned_schemes(model.config):
            measure(name, seed, partial(tuned, model, scheme, seed, corpus))
    about = {"trained": TRAINED, "length": LENGTH, "bucket": BUCKET, "windows": WINDOWS, "seeds": SEEDS}
    files.ship(RESULT, json.dumps({"about": about, "losses": measured}, indent=1) + "\n")
    shipped = {scheme: models[scheme, 0].half().state_dict() for scheme in SCHEMES}
    weights = {f"{scheme}.{name}": w.contiguous() for scheme, state in shipped.items() for name, w in state.items()}
    files.ship(MODELS, to_bytes(weights))


def remembered(kept, scheme, seed, corpus):
    """A trained model, from its file when this study was interrupted after it."""
    path = kept.file(f"{scheme}.{seed}.safetensors")
    if not path.exists():
        write_whole(path, to_bytes(trained(scheme, seed, corpus).state_dict()))
    model = TinyLM(config(scheme))
    model.load_state_dict(from_bytes(path.read_bytes()))
    return model.eval()


def load(scheme):
    """The shipped model of a scheme."""
    weights = from_bytes(files.path(MODELS).read_bytes())
    model = TinyLM(config(scheme))
    prefix = f"{scheme}."
    model.load_state_dict({n.removeprefix(prefix): w.float() for n, w in weights.items() if n.startswith(prefix)})
    return model.eval()
