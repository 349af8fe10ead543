"""One step of training: against transformers' Llama, and against what the processor can do at all."""

import torch

from bench.contest import Contest, agree, row, seconds
from llmrl.lm.logprobs import token_logp
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng

TINY = Config(vocab=64, width=32, layers=1, heads=2, kv_heads=1, ffn=48, context=32)


def sizes(quick):
    """config, B, T"""
    return (TINY, 4, 16) if quick else (Config(), 32, 128)


def stepper(model, loss):
    """A function that takes one optimizer step and returns the loss before it."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, fused=True)

    def step():
        value = loss(model)
        value.backward()
        optimizer.step()
        optimizer.zero_grad()
        return value.item()

    return step


def sides(quick):
    """Our step and theirs, on the same weights, ids and optimizer."""
    config, B, T = sizes(quick)
    ids = torch.randint(1, config.vocab, (B, T), generator=rng(0, "bench", "ids"))
    model = TinyLM(config, rng(0, "bench", "weights"))
    ours = stepper(model, lambda m: -token_logp(m(ids), ids).mean())
    theirs = stepper(model.to_transformers().train(), lambda m: m(input_ids=ids, labels=ids, use_cache=False).loss)
    return ours, theirs


@row("training.step")
def against_transformers(quick):
    """Forward, loss, backward and optimizer."""
    _, B, T = sizes(quick)
    ours, theirs = sides(quick)
    for step in range(3):  # a wrong gradient would show in the second loss
        agree(f"the loss of step {step}", ours(), theirs())
    return Contest(ours, theirs, B * T, "tokens/s", aim=1.2)


def flops(config, B, T):
    """Of one training step: 6 per matrix entry and token, and attention over the T (T + 1) / 2 pairs that may look."""
    entries = sum(p.numel() for p in TinyLM(config).parameters() if p.dim() == 2)  # the embedding once, as the head
    attention = config.layers * 2 * 2 * config.width * B * T * (T + 1) / 2  # scores, then values; forward
    return 6 * entries * B * T + 3 * attention


@row("training.peak")
def against_the_processor(quick):
    """Floating-point operations per second of a step against those of the best large matrix product."""
    config, B, T = sizes(quick)
    squares = [torch.randn(n, n, generator=rng(0, "bench", n)) for n in ((64,) if quick else (1024, 1536, 2048))]
    square = max(squares, key=product_speed)
    ours, _ = sides(quick)
    work = (flops(config, B, T) / 1e9, 2 * len(square) ** 3 / 1e9)
    return Contest(ours, lambda: square @ square, work, "GFLOP/s", aim=0.65)


def product_speed(square):
    """Operations per second of the best of six products."""
    return 2 * len(square) ** 3 / min(seconds(lambda: square @ square) for _ in range(6))
