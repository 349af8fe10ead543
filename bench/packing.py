"""Packing: a step on rows of several texts against a padded one, and our rows against those of TRL's best fit."""

import torch

from bench.contest import Contest, agree, row
from bench.training import TINY, stepper
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import next_token_loss, pad
from llmrl.seeds import rng
from llmrl.tuning.packing import pack, packed_loss


def conversations(count):
    """(ids, answer mask) of the beginning of the instruction set."""
    from llmrl.toy import files
    from llmrl.tuning import sft

    return list(zip(*sft.samples([r["messages"] for r in files.read_jsonl("instructions.jsonl")[:count]])))


@row("packing.step")
def against_padding(quick):
    """The same conversations in one step: in rows of 128, and padded to the longest of them.

    In longer rows less is padding, but attention reads whole rows: 256 were slower than 128.
    """
    from llmrl.toy import checkpoints

    ids, masks = conversations(4 if quick else 48)
    packed, padded = pack(ids, 128, masks), (pad(ids), pad(masks, False))
    rows = packed.ids, packed.segments, packed.labels
    ours = stepper(checkpoints.load("base").train(), lambda m: packed_loss(m, *rows))
    theirs = stepper(checkpoints.load("base").train(), lambda m: next_token_loss(m, *padded))
    for step in range(3):
        agree(f"the loss of step {step}", ours(), theirs(), tolerance=1e-4)
    note = f"{packed.ids.numel():,} positions against {padded[0].numel():,}"
    return Contest(ours, theirs, sum(map(len, ids)), "tokens/s", aim=1.5, note=note)


def rows_by_trl(ids, length):
    """Best-fit decreasing as TRL does it, with its defaults; rows of ids."""
    from datasets import Dataset, disable_progress_bars
    from trl import pack_dataset

    disable_progress_bars()
    return pack_dataset(Dataset.from_dict({"input_ids": ids}), length, strategy="bfd")["input_ids"]


@row("packing.rows")
def against_trl(quick):
    """The same texts read in our rows and in theirs, by the same model: fewer rows are sooner read."""
    config, count, length = (TINY, 30, 32) if quick else (Config(), 1500, 256)
    lengths = range(2, 32) if quick else map(len, conversations(count)[0])
    ids = [torch.randint(1, config.vocab, (n,), generator=rng(0, "bench", i)).tolist() for i, n in enumerate(lengths)]
    ours, theirs = pack(ids, length).ids, pad([*rows_by_trl(ids, length), [0] * length])[:-1]
    agree("the tokens in the rows", sorted(ours[ours > 0].tolist()), sorted(theirs[theirs > 0].tolist()))
    model = TinyLM(config, rng(0, "bench", "weights")).eval()

    @torch.inference_mode()
    def read(rows):
        return [model(part)[:, -1] for part in rows.split(8)]

    note = f"{len(ours)} rows against {len(theirs)}"
    return Contest(lambda: read(ours), lambda: read(theirs), sum(map(len, ids)), "tokens/s", aim=1.0, note=note)
