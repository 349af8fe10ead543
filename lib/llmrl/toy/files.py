"""The files that ship with the course: where they are, whether they are whole, and how to restore them.

In a checkout they lie in data/, in an installed copy inside the package, so a notebook finds them from any folder.
Every file has a line in checksums.json, compared once per process before the file is first read. Left out: downloads.
"""

import json
import os
from functools import cache
from pathlib import Path

from llmrl.storage import sha256, write_whole

PACKAGE = Path(__file__).resolve().parents[1]
MADE_BY = {name: f"make {name}" for name in ("checkpoints", "effects", "studies")}  # everything else: make data


class DataError(RuntimeError):
    """A shipped file is missing or altered."""


def data_dir():
    """The folder of the shipped files: LLMRL_DATA, else data/ of the checkout, else the installed package's own."""
    if os.environ.get("LLMRL_DATA"):
        return Path(os.environ["LLMRL_DATA"])
    checkout = PACKAGE.parents[1] / "data"
    return checkout if (checkout / "checksums.json").exists() else PACKAGE / "data"


@cache
def _checksums(folder):
    listing = folder / "checksums.json"
    try:
        return dict(json.loads(listing.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{listing.name} cannot be read ({error}): it lists every shipped file. {_way_out(listing.name)}"
        ) from None


def _way_out(name):
    if name == "checksums.json":  # what rebuilds the files can only add its lines to it
        return "Restore it with `git checkout -- data/checksums.json`, or reinstall the course."
    command = MADE_BY.get(name.split("/")[0].split(".")[0], "make data")
    return f"Restore it with `git checkout -- data/{name}`, rebuild it with `{command}`, or reinstall the course."


def names():
    """Every shipped file, as names relative to data_dir()."""
    return sorted(_checksums(data_dir()))


def path(name):
    """The path of a shipped file, after its checksum was compared."""
    problem = _problem(data_dir(), name)
    if problem:
        raise DataError(problem)
    return data_dir() / name


@cache
def _problem(folder, name):
    wanted, file = _checksums(folder).get(name), folder / name
    if wanted is None:
        return f"no shipped file is called {name!r}: the files are {', '.join(_checksums(folder)) or 'none'}"
    if not file.is_file():
        return f"data/{name} is missing. {_way_out(name)}"
    found = sha256(file)
    if found != wanted:
        return (
            f"data/{name} was altered: its SHA-256 begins {found[:12]} and should begin {wanted[:12]}. {_way_out(name)}"
        )
    return None


def verify():
    """What is wrong with the shipped files: one sentence each, an empty list when all is well."""
    forget()
    try:
        return [problem for name in names() if (problem := _problem(data_dir(), name))]
    except DataError as error:
        return [str(error)]


def forget():
    """Compare checksums anew at the next reading (after files were rebuilt)."""
    _checksums.cache_clear()
    _problem.cache_clear()


def read_text(name):
    return path(name).read_text(encoding="utf-8")


def read_json(name):
    return json.loads(read_text(name))


def read_jsonl(name):
    """The rows of a file with one JSON object per line."""
    return [json.loads(line) for line in read_text(name).splitlines()]


def ship(name, data, folder=None):
    """Write a shipped file whole and record its checksum."""
    record([write_whole((folder or data_dir()) / name, data)], folder)


def record(files, folder=None):
    """Record the checksums of files that were just written into the data folder."""
    folder = folder or data_dir()
    listing = folder / "checksums.json"
    forget()
    sums = dict(_checksums(folder)) if listing.exists() else {}
    sums |= {file.relative_to(folder).as_posix(): sha256(file) for file in files}
    write_whole(listing, json.dumps(dict(sorted(sums.items())), indent=1) + "\n")
    forget()
