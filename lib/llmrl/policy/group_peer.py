"""Our groups beside TRL's GRPOTrainer: its trainer on our model, what it saw in a run, its batch as our rows.

Two implementations of a loss can be compared when they read the same tokens with the same weights. So its own run is
watched: at every step its batch, the weights it was read with and the loss it returned are kept, and ours is computed
from the same. Its rows are padded on the left before a prompt and on the right behind an answer; ours behind it only.
Left out: tools, vLLM, several processes.

Shapes: B sequences, T positions.
"""

import tempfile
import warnings

import torch

from llmrl.lm.model import TinyLM
from llmrl.lm.training import pad
from llmrl.toy import checkpoints

QUIET = {"use_cpu": True, "bf16": False, "activation_checkpointing": False, "report_to": "none", "disable_tqdm": True}


def their_trainer(model, prompts, reward, kind="GRPO", reference=None, **options):
    """TRL's trainer of a copy of the model, options for its config.  prompts: messages; reward(text) -> number

    A prompt may be a row {"prompt": messages, name: value, ...}, whose other columns reward gets by name. With beta > 0
    TRL reads its reference from the folder that the model's configuration names: reference.
    """
    import trl
    from datasets import Dataset
    from transformers import AutoTokenizer, PrinterCallback
    from transformers.utils import logging

    logging.disable_progress_bar()
    policy = model.to_transformers()
    policy.config._name_or_path = str(reference or "")
    rows = [prompt if isinstance(prompt, dict) else {"prompt": prompt} for prompt in prompts]
    others = [name for name in rows[0] if name != "prompt"]

    def judge(completions, **columns):
        told = [{name: columns[name][i] for name in others} for i in range(len(completions))]
        return [float(reward(c[0]["content"], **row)) for c, row in zip(completions, told)]

    options = {"beta": 0.0, "per_device_train_batch_size": 8, "save_strategy": "no", "logging_strategy": "no"} | options
    trainer = getattr(trl, f"{kind}Trainer")(
        model=policy,
        reward_funcs=judge,
        args=getattr(trl, f"{kind}Config")(output_dir=tempfile.mkdtemp(), **QUIET, **options),
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(checkpoints.folder("base"), local_files_only=True),
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def watched(trainer):
    """Let the trainer run to its end.  -> per step (its inputs, the weights it read them with as a TinyLM, its loss)"""
    seen, compute = [], trainer.compute_loss

    def remember(model, inputs, **rest):
        loss = compute(model, inputs, **rest)
        kept = {name: x.clone() if isinstance(x, torch.Tensor) else x for name, x in inputs.items()}
        seen.append((kept, TinyLM.from_transformers(model), loss.item()))
        return loss

    trainer.compute_loss = remember
    try:
        with warnings.catch_warnings():  # the two libraries call one setting by its old and its new name
            warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
            trainer.train()
    finally:
        trainer.compute_loss = compute
    return seen


def as_rows(inputs):
    """Its batch as ours: ids and mask (B, T), padded on the right, the sampler's log-probabilities (B, T-1)."""
    rows, told, old = [], [], []
    logps = inputs.get("old_per_token_logps")
    names = ("prompt_ids", "prompt_mask", "completion_ids", "completion_mask")
    for i, (prompt, real, answer, said) in enumerate(zip(*(inputs[name] for name in names))):
        prompt, answer = prompt[real.bool()].tolist(), answer[said.bool()].tolist()
        rows.append(prompt + answer)
        told.append([False] * len(prompt) + [True] * len(answer))
        if logps is not None:
            old.append([0.0] * (len(prompt) - 1) + logps[i][said.bool()].tolist())
    return pad(rows), pad(told, False), pad(old, 0.0) if logps is not None else None
