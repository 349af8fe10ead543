r"""Supervised fine-tuning: next-token prediction on conversations, learning the answers only.

The loop is pre-training's; what changes is the mask. `answers` puts questions to a model the way it was tuned to be
asked. Left out: packing, early stopping.
"""

from llmrl import seeds
from llmrl.lm.generation import Sampling, generate
from llmrl.lm.training import Plan, sample_batches, train
from llmrl.tuning import chat


def samples(conversations, tokenizer=None):
    """(ids, answer mask) of each conversation."""
    return [chat.render(messages, tokenizer) for messages in conversations]


def tune(model, conversations, plan=Plan(steps=200, lr=1e-3), batch=32, seed=0, tokenizer=None):
    """Tune a model in place on the answers of some conversations; yields a record per step."""
    rows = samples(conversations, tokenizer)
    return train(model, sample_batches(rows, batch, lambda step: seeds.rng(seed, "sft", step)), plan)


def answers(model, prompts, max_new=64, sampling=Sampling(), generator=None, tokenizer=None):
    """One response per user prompt, as text."""
    if isinstance(prompts, str):
        raise TypeError(f"prompts must be a list of texts, got the text {prompts[:60]!r}: write [prompt] to ask one")
    from llmrl.toy import checkpoints

    tokenizer = tokenizer or checkpoints.tokenizer()
    asked = [chat.prompt_ids([{"role": "user", "content": prompt}], tokenizer) for prompt in prompts]
    done = generate(model, asked, max_new, sampling, generator=generator)
    return [tokenizer.decode(ids).strip() for ids in done.lists()]
