"""Three comparisons of layers, several seeds each: where the norm stands, which feed-forward network, what can copy.

All train small models on the corpus, or on sequences to copy, with the course's one loop. What is shipped are the loss
of every step, the loss on held-out text, the share of symbols copied at every length, and the first seed's copying
models, so that a lesson can measure them again. Left out: tuning the learning rate of each variant by itself.
"""

import json
from functools import partial
from itertools import product

import torch
from safetensors.torch import save

from llmrl import seeds
from llmrl.lm import copying, feedforward, stack
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.recurrent import RecurrentLM
from llmrl.lm.training import Plan, next_token_loss, text_batches, train
from llmrl.toy import checkpoints, files
from llmrl.toy.make import SEED

WIDE = Config(width=64, layers=6, heads=2, kv_heads=2, ffn=160)  # for the place of the norm
FLAT = Config(width=64, layers=4, heads=2, kv_heads=2, ffn=168)  # for the feed-forward network
BATCH, LENGTH = 8, 64
FAST, SLOW, WARMUP = 3e-3, 1e-3, 60
RUNS = [(FAST, 0), (FAST, WARMUP), (SLOW, 0)]  # learning rate and steps of warm-up
KINDS = ("swiglu", "gelu", "relu")
COPIERS = ("rnn", "lstm", "attention")
WIDTHS = {"rnn": 112, "lstm": 56}  # about as many parameters as the attention model
LONGEST = 12  # of the sequences that are trained on
LENGTHS = (1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16, 20, 24)


def text(name="corpus.txt", characters=1_500_000):
    """The ids of a shipped text's beginning, its documents each closed by <|endoftext|>."""
    return checkpoints.tokenizer().encode_documents(files.read_text(name)[:characters])


def reading(ids, *purpose):
    """Windows of a text to train on."""
    return text_batches(ids, BATCH, LENGTH, lambda step: seeds.rng(*purpose, step))


def norm_run(ids, place, plan, *purpose):
    """Train a stack with its norms in one place; the records of its steps, one by one."""
    model = stack.xavier(stack.stack(WIDE, place, seeds.rng(*purpose, "weights")), seeds.rng(*purpose, "layers"))
    yield from train(model, reading(ids, *purpose), plan)


@torch.no_grad()
def held_out(model, ids):
    """The mean loss on a text in windows side by side."""
    rows = torch.tensor(ids)[: len(ids) // LENGTH * LENGTH].view(-1, LENGTH)
    return next_token_loss(model, rows, torch.ones_like(rows, dtype=torch.bool)).item()


def network_run(ids, unseen, kind, first, *purpose):
    """Train a model with one kind of feed-forward network and "small" or "xavier" first weights.

    Yields its held-out loss after every hundred steps.
    """
    model = feedforward.with_ffn(FLAT, kind, seeds.rng(*purpose, "weights"))
    if first == "xavier":
        stack.xavier(model, seeds.rng(*purpose, "layers"))
    for record in train(model, reading(ids, *purpose), Plan(steps=300, lr=FAST, warmup=40)):
        if record["step"] % 100 == 99:
            yield held_out(model, unseen)


def copier(kind, generator=None):
    """An untrained model for the copy task; all kinds have about 26 thousand parameters."""
    if kind == "attention":
        return TinyLM(Config(copying.VOCAB, width=32, layers=2, heads=2, kv_heads=2, ffn=86, context=64), generator)
    return RecurrentLM(copying.VOCAB, WIDTHS[kind], kind, generator or seeds.rng(0, "to be filled"))


def copy_run(kind, *purpose):
    """A model trained to copy sequences of 1 to LONGEST symbols, one length per batch."""

    def batch(step):
        generator = seeds.rng(*purpose, step)
        n = int(torch.randint(1, LONGEST + 1, (1,), generator=generator))
        return copying.copies(64, n, generator)

    model = copier(kind, seeds.rng(*purpose, "weights"))
    for _ in train(model, batch, Plan(steps=1200, lr=FAST, warmup=50)):
        pass
    return model


def losses_of(ids, place, plan, seed):
    """The loss of every step of one run."""
    return [round(record["loss"], 3) for record in norm_run(ids, place, plan, SEED, "norm", seed)]


def heldout_of(ids, unseen, kind, first, seed):
    """The held-out losses of one run."""
    return list(network_run(ids, unseen, kind, first, SEED, "network", seed))


def copied_by(kind, seed, file):
    """The share copied at every length; the first seed's weights go into a file."""
    model = copy_run(kind, SEED, "copy", seed)
    if seed == 0:
        file.write_bytes(save(model.state_dict()))
    return [copying.copied(model, n, seeds.rng(SEED, "copied", n)) for n in LENGTHS]


def make(kept):
    """Compute what is missing and ship it."""
    ids, unseen = text(), text("heldout.txt", 60_000)
    norms, networks, copies = {}, {}, {}
    for place, (lr, warmup), seed in product(("pre", "post"), RUNS, range(3)):
        plan, key = Plan(steps=240, lr=lr, warmup=warmup), f"{place} {lr:g} {warmup}"
        losses = kept(f"{key} {seed}", partial(losses_of, ids, place, plan, seed))
        norms.setdefault(key, []).append(losses)
    for kind, first, seed in product(KINDS, ("small", "xavier"), range(5)):
        key = f"{kind} {first}"
        losses = kept(f"{key} {seed}", partial(heldout_of, ids, unseen, kind, first, seed))
        networks.setdefault(key, []).append(losses)
    for kind, seed in product(COPIERS, range(3)):
        shares = kept(f"copy {kind} {seed}", partial(copied_by, kind, seed, kept.file(f"{kind}.safetensors")))
        copies.setdefault(kind, []).append(shares)
    found = {"norms": norms, "networks": networks, "copies": copies, "lengths": LENGTHS}
    files.ship("studies/layers.json", json.dumps(found) + "\n")
    for kind in COPIERS:
        files.ship(f"studies/layers_{kind}.safetensors", kept.file(f"{kind}.safetensors").read_bytes())
        kept.file(f"{kind}.safetensors").unlink()
