"""What the learner has solved, remembered between sessions.

One small JSON file in the reader's own folder: LLMRL_HOME, else XDG_DATA_HOME/llmrl (LOCALAPPDATA\\llmrl on Windows),
else ~/.local/share/llmrl. It is read, merged and written whole under a lock, so two notebooks at once lose nothing; a
file that cannot be read is kept aside as progress.json.damaged; a folder that cannot be written costs the memory, never
the grade. Left out: accounts, servers, anything that leaves this machine.
"""

import contextlib
import datetime
import itertools
import json
import os
from pathlib import Path

from llmrl.lesson.exercise import exercises
from llmrl.storage import write_whole


def home():
    """The reader's folder for the course."""
    if os.environ.get("LLMRL_HOME"):
        return Path(os.environ["LLMRL_HOME"])
    base = os.environ.get("XDG_DATA_HOME") or (os.name == "nt" and os.environ.get("LOCALAPPDATA"))
    return Path(base or Path.home() / ".local" / "share") / "llmrl"


def record(name):
    """Remember that an exercise was solved today; returns a sentence when something about that went wrong."""
    try:
        file = home() / "progress.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        with _locked(file):
            solved, note = _read(file)
            solved.setdefault(name, datetime.date.today().isoformat())
            write_whole(file, json.dumps({"solved": dict(sorted(solved.items()))}, indent=1) + "\n")
    except (OSError, RuntimeError) as error:  # RuntimeError: the reader has no home folder
        reason = getattr(error, "strerror", None) or "no home folder"
        return f"  (not remembered: {reason.split(':')[0]}; set LLMRL_HOME to a folder you may write to)"
    return note


@contextlib.contextmanager
def _locked(file):
    """Hold a lock beside the file, where the system has locks."""
    with open(file.with_suffix(".lock"), "w") as lock:
        with contextlib.suppress(ImportError):
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _read(file):
    """(solved, note): the date each exercise was solved, and what happened to a file that cannot be read."""
    try:
        solved = json.loads(file.read_text(encoding="utf-8"))["solved"]
        if all(isinstance(name, str) and isinstance(day, str) for name, day in solved.items()):
            return solved, None
    except FileNotFoundError:
        return {}, None
    except (ValueError, TypeError, KeyError, AttributeError):
        pass
    names = (f"{file.name}.damaged{n}" for n in itertools.chain([""], itertools.count(2)))
    aside = next(path for name in names if not (path := file.with_name(name)).exists())
    os.replace(file, aside)
    return {}, f"  (progress.json could not be read: it was kept as {aside.name} and a new one begun)"


def solved():
    """(solved, note): the date each exercise was solved, by name, and what was wrong with the file if anything."""
    try:
        return _read(home() / "progress.json")
    except (OSError, RuntimeError):
        return {}, "  (what was solved before could not be read; set LLMRL_HOME to a folder you may read)"


def table(days=None):
    """One row per exercise of the course, in order: exercise, title, minutes, difficulty, solved."""
    days = solved()[0] if days is None else days
    return [
        {
            "exercise": name,
            "title": exercise.title,
            "minutes": exercise.minutes,
            "difficulty": exercise.difficulty,
            "solved": days.get(name),
        }
        for name, exercise in exercises().items()
    ]


def report():
    """Progress as text, for a terminal."""
    days, note = solved()
    rows = table(days)
    done = [row for row in rows if row["solved"]]
    left = sum(row["minutes"] for row in rows if not row["solved"])
    lines = [f"{'✓' if row['solved'] else '○'} {row['exercise']:20} {row['title']}" for row in rows]
    lines.append(f"{len(done)} of {len(rows)} exercises solved" + (f", about {left} minutes to go" if left else ""))
    return "\n".join(lines + ([note] if note else []))
