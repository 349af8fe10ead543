"""One step of supervised tuning: ours against TRL's SFTTrainer, on the same weights, conversations and optimizer."""

import tempfile
from dataclasses import replace

from bench.contest import Contest, agree, row
from llmrl.lm.model import Config, TinyLM
from llmrl.lm.training import adamw, pad_samples, update
from llmrl.seeds import rng
from llmrl.toy import checkpoints, files
from llmrl.tuning import sft

SMALL = replace(Config(), width=32, layers=1, heads=2, kv_heads=1, ffn=48)
QUIET = {"use_cpu": True, "bf16": False, "activation_checkpointing": False, "report_to": "none", "disable_tqdm": True}


def talks(quick):
    """Conversations of one batch."""
    rows = [row["messages"] for row in files.read_jsonl("instructions.jsonl") if row["split"] == "train"]
    return rows[: 4 if quick else 32]


def trainer(model, conversations, folder):
    """TRL's trainer with the same weights, its defaults for the CPU, all conversations in one batch."""
    from datasets import Dataset
    from datasets.utils.logging import disable_progress_bar
    from transformers import AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    disable_progress_bar()
    options = {"assistant_only_loss": True, "per_device_train_batch_size": len(conversations), "max_length": None}
    return SFTTrainer(
        model=model.to_transformers(),
        args=SFTConfig(output_dir=folder, **options, **QUIET),
        train_dataset=Dataset.from_list([{"messages": talk} for talk in conversations]),
        processing_class=AutoTokenizer.from_pretrained(checkpoints.folder("base"), local_files_only=True),
    )


def their_step(peer, batch):
    """A function that takes one step of a TRL trainer on a batch, without its loader and callbacks: -> the loss."""
    optimizer = adamw(peer.model, 1e-3)
    peer.model.train()

    def step():
        loss = peer.compute_loss(peer.model, batch)
        peer.accelerator.backward(loss)
        peer.accelerator.clip_grad_norm_(peer.model.parameters(), 1.0)
        optimizer.step()
        peer.model.zero_grad()
        return loss.item()

    return step


def sides(quick):
    """Our step and theirs: loss, gradient, clipping, AdamW; and the tokens of the batch, padding not counted."""
    model = TinyLM(SMALL if quick else Config(), rng(0, "bench", "weights"))
    rows = sft.samples(talks(quick))
    with tempfile.TemporaryDirectory() as folder:
        peer = trainer(model, talks(quick), folder)
        batch = next(iter(peer.get_train_dataloader()))
    ids, _ = pad_samples(rows)
    agree("the ids of the batch", sorted(batch["input_ids"].tolist()), sorted(ids.tolist()))
    ids, mask = batch["input_ids"], batch["labels"] != -100  # in their order
    optimizer = adamw(model, 1e-3)

    def ours():
        loss = sft.learned_loss(model, ids, mask)
        update(model, optimizer, loss, 1.0)
        return loss.item()

    return ours, their_step(peer, batch), sum(len(ids) for ids, _ in rows)


@row("sft.step")
def against_trl(quick):
    """Loss on the answers, gradient, clipping, optimizer; theirs without loading and callbacks."""
    ours, theirs, tokens = sides(quick)
    for step in range(3):  # a wrong gradient would show in the second loss
        agree(f"the loss of step {step}", ours(), theirs())
    return Contest(ours, theirs, tokens, "tokens/s", aim=1.5, note="without padding; theirs computes it")
