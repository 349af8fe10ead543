"""Where the course lies: a folder with notebooks, or an installed copy that has only the library and its data.

Everything about notebooks needs the folder, and says so when it is not there.
Left out: finding the folder of another copy. The library that runs belongs to one folder, or to none.
"""

from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]


class NeedsFolder(RuntimeError):
    """The command works on the course's own folder, and this copy was installed without it."""


def folder():
    """The course's folder (the one with notebooks, tests and the Makefile), or None in an installed copy."""
    root = PACKAGE.parents[1]
    return root if (root / "pyproject.toml").is_file() and PACKAGE.parent.name == "lib" else None


def root():
    """The course's folder; an installed copy is told what it lacks and how to get it."""
    found = folder()
    if found is None:
        from llmrl.lesson.first_cell import repository

        raise NeedsFolder(
            f"this needs the course's folder with its notebooks, and the llmrl that runs here was installed without it "
            f"({PACKAGE}). Clone {repository()}, go into the folder and try again there"
        )
    return found


def notebooks():
    """Every notebook of the course, in order, without the editor's own copies."""
    paths = (root() / "notebooks").rglob("*.ipynb")
    return sorted(path for path in paths if not any(part.startswith(".") for part in path.relative_to(root()).parts))


def name(path):
    """What the course calls a notebook: 01_llm_basics/02_inside_the_transformer."""
    return path.relative_to(root() / "notebooks").with_suffix("").as_posix()
