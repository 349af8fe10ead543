"""Our reward model beside TRL's RewardTrainer: its trainer on a copy of our weights, and a batch of ours for its loss.

TRL scores with transformers' classifier of one label, so both models hold the same numbers under other names.
Left out: its loader and callbacks, which the comparison of a loss or of a step does not need.
"""

import tempfile

from llmrl.policy.group_peer import QUIET
from llmrl.toy import checkpoints


def their_trainer(model, rows, **options):
    """TRL's RewardTrainer of a copy of a reward model.  rows: {"prompt", "chosen", "rejected"}; options: its config"""
    from datasets import Dataset, disable_progress_bars
    from transformers import AutoTokenizer, PrinterCallback
    from transformers.utils import logging
    from trl import RewardConfig, RewardTrainer

    disable_progress_bars()
    logging.disable_progress_bar()
    sides = ("chosen", "rejected")
    talks = [{side: [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": row[side]}]
              for side in sides} for row in rows]  # fmt: skip
    trainer = RewardTrainer(
        model=model.to_transformers(),
        args=RewardConfig(
            output_dir=tempfile.mkdtemp(),
            save_strategy="no",
            logging_strategy="no",
            max_length=None,
            **(QUIET | options),
        ),
        train_dataset=Dataset.from_list(talks),
        processing_class=AutoTokenizer.from_pretrained(checkpoints.folder("base"), local_files_only=True),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def their_loss(trainer, ids, mask, margin=None):
    """TRL's loss of a batch of ours, the chosen in the first half.  ids, mask (2B, T), margin (B,) -> a number"""
    inputs = {"input_ids": ids, "attention_mask": mask.long()}
    return trainer.compute_loss(trainer.model, inputs | ({} if margin is None else {"margin": margin}))
