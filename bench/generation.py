"""Batched generation with a cache, against transformers' generate, both greedy."""

import torch

from bench.contest import Contest, agree, row
from bench.training import TINY
from llmrl.lm.generation import IM_END, PAD, generate, pad_left
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng


def sides(model, prompts, max_new, stop):
    """Our call and theirs; both return the ids after the prompts, (B, N)."""
    hf = model.to_transformers()
    ids, real = pad_left(prompts)
    ends = {"eos_token_id": list(stop)} if stop else {"eos_token_id": None}

    def theirs():
        out = hf.generate(ids, attention_mask=real, max_new_tokens=max_new, do_sample=False, pad_token_id=PAD, **ends)
        return out[:, ids.shape[1] :]

    return lambda: generate(model, prompts, max_new, stop=stop).ids, theirs


def same_length(config, B, T, max_new):
    """B rows of T tokens, max_new more for each, nobody stops: the bare speed."""
    prompts = torch.randint(4, config.vocab, (B, T), generator=rng(0, "bench", "prompts")).tolist()
    ours, theirs = sides(TinyLM(config, rng(0, "bench", "weights")), prompts, max_new, ())
    agree("the tokens", ours().tolist(), theirs().tolist())
    return Contest(ours, theirs, B * max_new, "tokens/s", aim=3)


@row("generation.batch_of_64")
def many(quick):
    """Where the products cost more than calling them."""
    return same_length(*((TINY, 4, 8, 8) if quick else (Config(), 64, 32, 64)))


@row("generation.one")
def one(quick):
    """Where calling the products costs more than they do."""
    return same_length(*((TINY, 1, 8, 8) if quick else (Config(), 1, 32, 64)))


def instructions(count, times, quick):
    """Instructions to the tuned model, each asked so many times; only its answers count, the stop token included."""
    from llmrl.toy import checkpoints, files
    from llmrl.tuning.chat import prompt_ids

    asked = [r["messages"][:1] for r in files.read_jsonl("instructions.jsonl") if r["split"] == "test"]
    prompts = [prompt_ids(messages) for messages in asked[:: len(asked) // count][:count] for _ in range(times)]
    ours, theirs = sides(checkpoints.load("sft"), prompts, 16 if quick else 64, (IM_END,))
    said = ours()
    agree("the tokens", said.tolist(), theirs().tolist())
    return Contest(ours, theirs, int((said != PAD).sum()), "tokens/s", aim=3)


@row("generation.answers")
def to_different_questions(quick):
    """64 questions at once; some are answered in two tokens and some in a dozen."""
    return instructions(4 if quick else 64, 1, quick)


@row("generation.groups")
def to_the_same_question(quick):
    """8 questions, each asked 8 times, as GRPO does."""
    return instructions(2 if quick else 8, 2 if quick else 8, quick)
