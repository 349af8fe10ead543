"""Beam search against transformers' generate(num_beams=4): the same texts with the same scores."""

import torch

from bench.contest import Contest, agree, row
from bench.training import TINY
from llmrl.lm.beam_search import Beam, beam_search
from llmrl.lm.generation import IM_END, PAD, pad_left
from llmrl.lm.model import Config, TinyLM
from llmrl.seeds import rng


def sides(model, prompts, max_new, beam, stop):
    """Our call and theirs; both return the best text of every prompt, padded to (B, N), and its score."""
    hf = model.to_transformers()
    ids, real = pad_left(prompts)
    options = {
        "max_new_tokens": max_new, "num_beams": beam.width, "length_penalty": beam.length_penalty, "do_sample": False,
        "early_stopping": beam.early_stopping, "pad_token_id": PAD, "eos_token_id": list(stop) or None,
        "return_dict_in_generate": True, "output_scores": True,
    }  # fmt: skip

    def ours():
        found = beam_search(model, prompts, max_new, beam, stop)
        return found.ids[:, 0], found.score[:, 0]

    def theirs():
        out = hf.generate(ids, attention_mask=real, **options)
        said = out.sequences[:, ids.shape[1] :]
        said = torch.nn.functional.pad(said, (0, max_new - said.shape[1]), value=PAD)
        return said, out.sequences_scores

    return ours, theirs


def contest(model, prompts, max_new, stop):
    """A row, once both sides have said the same."""
    ours, theirs = sides(model, prompts, max_new, Beam(4), stop)
    (mine, score), (other, their_score) = ours(), theirs()
    behind = torch.arange(max_new) >= (mine != PAD).sum(1, keepdim=True)  # they may fill up with the stop token
    agree("the best texts", mine.tolist(), other.masked_fill(behind, PAD).tolist())
    agree("the sum of the scores", score.sum().item(), their_score.sum().item(), tolerance=1e-4)
    return Contest(lambda: ours()[0], lambda: theirs()[0], int((mine != PAD).sum()), "tokens/s", aim=2)


@row("beam.batch_of_16")
def many(quick):
    """Random weights, nobody stops: the bare speed of four beams."""
    config, B, T, N = (TINY, 2, 8, 8) if quick else (Config(), 16, 32, 32)
    prompts = torch.randint(4, config.vocab, (B, T), generator=rng(0, "bench", "prompts")).tolist()
    return contest(TinyLM(config, rng(0, "bench", "weights")), prompts, N, ())


@row("beam.answers")
def to_different_questions(quick):
    """Questions to the tuned model; an answer ends when its four best texts cannot be beaten any more."""
    from llmrl.toy import checkpoints, files
    from llmrl.tuning.chat import prompt_ids

    count = 2 if quick else 16
    asked = [r["messages"][:1] for r in files.read_jsonl("instructions.jsonl") if r["split"] == "test"]
    prompts = [prompt_ids(messages) for messages in asked[:: len(asked) // count][:count]]
    return contest(checkpoints.load("sft"), prompts, 16 if quick else 48, (IM_END,))
