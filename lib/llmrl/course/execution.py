"""The `run` command: choose notebooks, run them behind a progress bar, say what happened.

Left out: running a notebook, which `runner` does, and the tables, which are `report`'s.
"""

import asyncio
import os
import tempfile
from contextlib import contextmanager
from fnmatch import fnmatchcase

from llmrl.course import places


def choose(patterns, paths):
    """The notebooks whose name holds one of the patterns or matches it; a pattern that fits none is an error."""
    if not patterns:
        return list(paths)
    chosen = []
    for pattern in patterns:
        wanted = pattern.removeprefix("notebooks/").removesuffix(".ipynb")
        fits = [path for path in paths if wanted in places.name(path) or fnmatchcase(places.name(path), wanted)]
        if not fits:
            names = ", ".join(map(places.name, paths)) or "there are none yet"
            raise ValueError(f"no notebook's name holds or matches {pattern!r}. The notebooks: {names}")
        chosen += [path for path in fits if path not in chosen]
    return sorted(chosen)


def run(patterns=(), jobs=1, check=False, timeout=600):
    """Run the chosen notebooks and report; 0 when all ran through and none was slow."""
    paths = choose(patterns, places.notebooks())
    from tqdm import tqdm

    from llmrl.course import report, runner, stored

    total = sum(_cells(path, stored) for path in paths)
    with _own_home(), tqdm(total=total, unit="cell", disable=None) as bar:

        def tick(result):
            bar.set_description(result.name, refresh=False)
            bar.update()

        results = asyncio.run(runner.run_all(paths, jobs, check, timeout, tick))
    print("\n".join(report.screen(results)))
    print(f"\nthe same in {report.store(results, places.root()).relative_to(places.root())}")
    return 1 if any(report.problems(results)) else 0


@contextmanager
def _own_home():
    """An empty home for the while, so that running the course neither reads nor writes the reader's progress."""
    before = os.environ.get("LLMRL_HOME")
    with tempfile.TemporaryDirectory(prefix="llmrl-") as home:
        os.environ["LLMRL_HOME"] = home
        try:
            yield
        finally:
            os.environ.pop("LLMRL_HOME")
            if before is not None:
                os.environ["LLMRL_HOME"] = before


def _cells(path, stored):
    try:
        return len(stored.code_cells(stored.read(path)))
    except ValueError:
        return 0
