"""`make studies`: make the shipped results of all studies, or of those that are named."""

import argparse
import importlib
import pkgutil
import sys
from pathlib import Path

import torch

import llmrl.studies
from llmrl.studies.kept import Kept

NOT_STUDIES = ("__main__", "kept")


def studies():
    """The name of every study: every module of this folder that is one."""
    return [m.name for m in pkgutil.iter_modules(llmrl.studies.__path__) if m.name not in NOT_STUDIES]


def main():
    parser = argparse.ArgumentParser(prog="python -m llmrl.studies", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"some of {', '.join(studies())}; all of them when none is named")
    parser.add_argument("--threads", type=int, default=1, help="cores to use")
    asked = parser.parse_args()
    if unknown := [name for name in asked.names if name not in studies()]:
        parser.error(f"no study is called {', '.join(unknown)}: choose from {', '.join(studies())}")
    torch.set_num_threads(asked.threads)
    try:
        for name in asked.names or studies():
            kept = Kept(Path("build/studies") / f"{name}.json")
            importlib.import_module(f"llmrl.studies.{name}").make(kept)
            kept.path.unlink(missing_ok=True)
    except KeyboardInterrupt:
        sys.exit("Interrupted. The same command goes on after the last finished part.")


if __name__ == "__main__":
    torch.set_flush_denormal(True)  # the tiniest moments of the optimizer count as zero: they are slow to compute with
    main()
