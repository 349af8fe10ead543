"""One step of DPO: ours against TRL's DPOTrainer, on the same weights, pairs and optimizer."""

import copy
import tempfile

import torch

from bench.contest import Contest, agree, row
from bench.sft import QUIET, SMALL, their_step
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import adamw, update
from llmrl.preference import losses
from llmrl.preference.train import Batch, reference_logp, rendered
from llmrl.seeds import rng
from llmrl.toy import checkpoints, files

BETA = 0.1
ROLES = {"prompt": "user", "chosen": "assistant", "rejected": "assistant"}


def trainer(model, rows, folder, precompute):
    """TRL's trainer with the same weights, its defaults for the CPU, all pairs in one batch."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    disable_progress_bar()
    sides = [{side: [{"role": role, "content": row[side]}] for side, role in ROLES.items()} for row in rows]
    return DPOTrainer(
        model=model.to_transformers(),
        ref_model=None if precompute else copy.deepcopy(model.to_transformers()),
        args=DPOConfig(
            output_dir=folder, beta=BETA, per_device_train_batch_size=len(rows), max_length=None,
            precompute_ref_log_probs=precompute, **QUIET,
        ),
        train_dataset=Dataset.from_list(sides),
        processing_class=AutoTokenizer.from_pretrained(checkpoints.folder("base"), local_files_only=True),
    )  # fmt: skip


def samples(batch):
    """TRL's batch as rows of (chosen, rejected), each (ids, mask), in its order; its mask holds the last line break."""
    real = batch["attention_mask"].bool()
    found = [
        (ids[keep].tolist(), mask[keep].bool().tolist())
        for ids, mask, keep in zip(batch["input_ids"], batch["completion_mask"], real)
    ]
    return list(zip(found[: len(found) // 2], found[len(found) // 2 :]))


def sides(quick, precompute):
    """Our step and theirs: loss, gradient, clipping, AdamW; and the tokens of the batch, padding not counted."""
    model = TinyLM(SMALL if quick else Config(), rng(0, "bench", "weights"))
    rows = files.read_jsonl("preferences.jsonl")[: 4 if quick else 16]
    with tempfile.TemporaryDirectory() as folder:
        peer = trainer(model, rows, folder, precompute)
        batch = next(iter(peer.get_train_dataloader()))
    pairs = samples(batch)
    plain = lambda found: sorted(ids for two in found for ids, _ in two)  # noqa: E731
    agree("the ids of the batch", plain(pairs), plain(rendered(rows)))
    reference, drawn = reference_logp(model, pairs), torch.arange(len(pairs))
    optimizer = adamw(model, 1e-3)

    def ours():
        seen = Batch(model, pairs, reference, drawn)
        loss = losses.dpo(*seen.logp(0, 1), *seen.ref_logp(0, 1), BETA).mean()
        update(model, optimizer, loss, 1.0)
        return loss.item()

    return ours, their_step(peer, batch), sum(len(ids) for two in pairs for ids, _ in two)


def contest(quick, precompute, aim, note):
    ours, theirs, tokens = sides(quick, precompute)
    for step in range(3):  # a wrong gradient would show in the second loss
        agree(f"the loss of step {step}", ours(), theirs())
    return Contest(ours, theirs, tokens, "tokens/s", aim, note)


@row("dpo.step")
def against_trl(quick):
    """Each as it comes: our reference is a table computed before the first step, theirs reads every batch."""
    return contest(quick, False, 1.5, "theirs runs its reference in every step, as it does unless told otherwise")


@row("dpo.precomputed")
def against_trl_with_a_table(quick):
    """The same, TRL told to compute the reference's log-probabilities once."""
    return contest(quick, True, 1.0, "both look the reference up")
