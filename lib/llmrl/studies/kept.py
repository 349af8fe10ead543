"""What a study has finished so far, kept in build/ until the whole is shipped.

A part is a number, a list or a dictionary under a key that says all it depends on. It is computed once: asked again,
even in another process after an interruption, the stored value comes back. Left out: two processes on one study.
"""

import json
from pathlib import Path

from llmrl.storage import write_whole


class Kept:
    """kept("width 64, seed 1", compute) -> compute(), or what it returned earlier."""

    def __init__(self, path):
        self.path = Path(path)
        try:
            self.parts = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        except ValueError as error:
            raise ValueError(f"{self.path} is damaged ({error}): delete it to begin the study anew") from None

    def __call__(self, key, compute):
        if key not in self.parts:
            self.parts[key] = compute()
            write_whole(self.path, json.dumps(self.parts, indent=1) + "\n")
        return self.parts[key]

    def file(self, name):
        """Where a part that is a file may lie until it is shipped, a model for example."""
        return self.path.with_name(f"{self.path.stem}.{name}")


def rounded(x):
    """Floats to four decimals, all the way down."""
    if isinstance(x, dict):
        return {key: rounded(value) for key, value in x.items()}
    if isinstance(x, list):
        return [rounded(value) for value in x]
    return round(x, 4) if isinstance(x, float) else x
