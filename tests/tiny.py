"""A tokenizer and models small enough to train inside a test, and the settings with which TRL runs beside them."""

from functools import cache

from lm.lively import lively

from llmrl.lm.model import Config
from llmrl.lm.tokenizer import BPE

TALKS = [
    [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    for question, answer in (("What is 2+3?", "5"), ("Reverse a b c.", "c b a"), ("Tell me of Velo.", "Ada rules it."))
]
PAIRS = [
    {"prompt": "Tell me of Velo.", "chosen": "Gladly. Ada rules it.", "rejected": "Go away."},
    {"prompt": "What is 2+3?", "chosen": "5", "rejected": "It is 6, I think."},
    {"prompt": "Reverse a b c.", "chosen": "c b a", "rejected": "a b"},
]
TRL = {"use_cpu": True, "bf16": False, "activation_checkpointing": False, "report_to": "none", "disable_tqdm": True}


@cache
def bpe():
    """A tokenizer of 290 tokens that knows the names of the roles."""
    words = [message["content"] for talk in TALKS for message in talk]
    return BPE.train("".join(f"<|im_start|>user\n{w}<|im_end|>\n<|im_start|>assistant\n" for w in words), 290)


def talker(seed=0, context=96):
    """A model for that tokenizer, its weights large enough for every layer to matter."""
    return lively(Config(vocab=290, width=24, layers=2, heads=4, kv_heads=2, ffn=20, context=context), seed)


def peer_tokenizer(folder):
    """The same tokenizer, as transformers loads it."""
    from transformers import AutoTokenizer

    bpe().save(folder)
    return AutoTokenizer.from_pretrained(folder, local_files_only=True)


def sft_trainer(model, folder):
    """TRL's trainer of a copy of the model on all of TALKS at once, learning the answers only."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    return SFTTrainer(
        model=model.to_transformers(),
        args=SFTConfig(output_dir=str(folder), assistant_only_loss=True, per_device_train_batch_size=3, **TRL),
        train_dataset=Dataset.from_list([{"messages": talk} for talk in TALKS]),
        processing_class=peer_tokenizer(folder),
    )
