"""How every lesson begins, and the one dial that makes it longer or shorter.

The first cell fixes what would otherwise differ between two readers: threads, device, the look of figures, and the base
seed. It keeps the hub libraries offline and trackers silent unless the reader has said otherwise. Python's, numpy's and
torch's global generators are seeded too, only so that stray randomness repeats: a lesson draws its own numbers from
rng(lesson.seed, "purpose"). Left out: anything about what a lesson teaches.
"""

import difflib
import os
from dataclasses import dataclass
from functools import cache

from llmrl import seeds
from llmrl.lesson import colab, style
from llmrl.toy import files

QUIET = {  # what the reader has not decided is decided for quiet; a variable that is already set stays as it is
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "HF_DATASETS_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "WANDB_MODE": "disabled",
    "COMET_MODE": "DISABLED",
    "DISABLE_MLFLOW_INTEGRATION": "TRUE",
    "TOKENIZERS_PARALLELISM": "false",
}


@dataclass(frozen=True)
class Lesson:
    """What a lesson may ask about where it runs."""

    name: str
    seed: int
    device: str

    def __repr__(self):
        return f"lesson {self.name}"


def begin(name):
    """Set the stage for a lesson: begin("03_dpo/01_from_rlhf_to_dpo") -> Lesson with seed and device."""
    heading = _heading(name)
    for variable, value in QUIET.items():
        os.environ.setdefault(variable, value)
    if colab.here():
        colab.complete()
    import torch

    lesson = Lesson(name, seeds.base_seed(), device())
    torch.set_num_threads(seeds.threads())
    _seed_strays(seeds.derive(lesson.seed, "lesson", name))
    style.use()
    print(heading)
    return lesson


def device():
    """Where a lesson computes: LLMRL_DEVICE, else cuda when there is a GPU, else cpu."""
    import torch

    wanted = os.environ.get("LLMRL_DEVICE") or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(1, device=wanted)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(f"LLMRL_DEVICE must be a device torch finds, got {wanted!r} ({reason}): use cpu") from None
    return wanted


def _seed_strays(seed):
    import random

    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


@cache
def lessons():
    """The heading of every lesson by its name, in order, as the curriculum has them: the same for every reader."""
    import yaml

    try:
        text = (files.data_dir() / "curriculum.yaml").read_text(encoding="utf-8")
    except OSError as error:
        way_out = "restore it with `git checkout -- data/curriculum.yaml`, or reinstall the course"
        raise files.DataError(f"data/curriculum.yaml cannot be read ({error.strerror}): {way_out}") from None
    course = yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    headings = {course["start"]["notebook"]: course["start"]["title"]}
    for number, chapter in enumerate(course["chapters"], 1):
        for place, notebook in enumerate(chapter["notebooks"], 1):
            headings[f"{chapter['chapter']}/{notebook['notebook']}"] = f"Lesson {number}.{place}: {notebook['title']}"
    return headings


def _heading(name):
    names = list(lessons())
    if name in names:
        return lessons()[name]
    last = str(name).rpartition("/")[2]
    near = difflib.get_close_matches(str(name), names, 3, 0.5) or [n for n in names if len(last) > 3 and last in n]
    way_out = f"did you mean {' or '.join(map(repr, near))}" if near else f"they run from {names[0]!r} to {names[-1]!r}"
    raise ValueError(f"begin() takes the name of a lesson, 'chapter/notebook', got {name!r}: {way_out}")


def budget(cpu, gpu=None):
    """How much of a run this machine affords: `cpu` or `gpu` by device, times LLMRL_BUDGET (default 1), at least 1."""
    text = os.environ.get("LLMRL_BUDGET", "1")
    try:
        scale = float(text)
    except ValueError:
        scale = float("nan")
    if not 0 < scale < float("inf"):
        raise ValueError(f"LLMRL_BUDGET must be a number above 0, got {text!r}: unset it, or set 0.2 for a quick run")
    amount = cpu if gpu is None or device() == "cpu" else gpu
    return max(1, round(amount * scale))
