"""The trained models that ship with the course, loaded by name.

`base` has read the corpus; `sft` also answers; `reasoning_base` adds, and now and then writes its steps; `reward_model`
scores answers and is no language model (llmrl.rlhf.reward_model.shipped loads it). Each is a folder in the hub's
format, so transformers opens it as well. Left out: models for one lesson only, which that lesson's
own make target ships.
"""

import difflib
from functools import cache

from llmrl.lm.model import TinyLM
from llmrl.lm.tokenizer import BPE
from llmrl.toy import files

FILES = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json")
ABOUT = {
    "base": "has read the corpus and continues any text",
    "sft": "tuned on every task: answers, refuses, tells",
    "reasoning_base": "tuned on sums only, and writes its steps in one answer out of five",
    "reward_model": "scores answers to open questions, learned from pairs",
}
SCORERS = ("reward_model",)  # what has a head of one number and no next token


def folder(name):
    """The folder of a checkpoint, its files compared with their checksums."""
    if name not in list(ABOUT):
        near = difflib.get_close_matches(str(name), ABOUT, 1)
        hint = f", did you mean {near[0]!r}?" if near else ":"
        raise ValueError(f"no checkpoint is called {name!r}{hint} there are {', '.join(ABOUT)}")
    for file in FILES:
        path = files.path(f"checkpoints/{name}/{file}")
    return path.parent


def load(name, device=None):
    """A language model ready to be asked."""
    if name in SCORERS:
        raise ValueError(f"{name} scores answers and writes none: llmrl.rlhf.reward_model.shipped() loads it")
    return TinyLM.load(folder(name)).to(device or "cpu")


@cache
def tokenizer():
    """The one tokenizer of the toy world."""
    return BPE.load(folder("base"))
