"""The course map: chapters, notebooks and concepts, read from data/curriculum.yaml.

Titles, order and what each concept has to show are written by hand. The library names and the checks of a concept
are not: `python -m llmrl coverage --write` reads them off the notebooks, so a concept with checks is one that stands.
Left out: progress of a reader, which `llmrl.lesson` keeps in the reader's own folder.
"""

from dataclasses import dataclass

import yaml

from llmrl.storage import write_whole
from llmrl.toy.files import data_dir

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml's is ten times as fast; not every build has it
HEADER = """\
# The course map. Written by hand: chapters, notebooks, minutes, concepts, and what each concept has to show.
# Read off the notebooks by `python -m llmrl coverage --write`: library, checks. A test says when they are out of date.
#   id       stable; a notebook opens a concept in the metadata of a cell: "concepts": ["tokens.bpe"]
#   show     what running the section must demonstrate
#   peer     the well-kept implementation the result is compared with
#   library  what the section calls, as llmrl.<name>
#   checks   the claims the section checks when it runs
"""


@dataclass(frozen=True)
class Concept:
    """One idea of the course; it stands when its section was run with a check and a figure or table."""

    id: str
    title: str
    show: str
    peer: str = ""
    library: tuple = ()
    checks: tuple = ()

    @property
    def stands(self):
        return bool(self.checks)


@dataclass(frozen=True)
class Lesson:
    """One notebook: its name is its path below notebooks/ without the ending."""

    name: str
    title: str
    minutes: int
    concepts: tuple = ()


@dataclass(frozen=True)
class Chapter:
    """A folder of notebooks, in the order they are read."""

    name: str
    title: str
    lessons: tuple

    @property
    def minutes(self):
        return sum(lesson.minutes for lesson in self.lessons)

    @property
    def concepts(self):
        return [concept for lesson in self.lessons for concept in lesson.concepts]


@dataclass(frozen=True)
class Map:
    """The whole course: the notebook to start with and the chapters."""

    start: Lesson
    chapters: tuple

    @property
    def lessons(self):
        """Every notebook in the order it is read, the first one included."""
        return [self.start, *(lesson for chapter in self.chapters for lesson in chapter.lessons)]

    @property
    def concepts(self):
        """Every concept by its id, in order."""
        return {concept.id: concept for lesson in self.lessons for concept in lesson.concepts}


def load(path=None):
    """The map as plain lists and dictionaries, as the file has it."""
    path = path or data_dir() / "curriculum.yaml"
    return yaml.load(path.read_text(encoding="utf-8"), LOADER)


def read(path=None):
    """The map of the course: read().chapters[0].lessons[1].concepts[0].title."""
    return parse(load(path))


def parse(plain):
    """The map from the plain lists and dictionaries of its file."""
    chapters = tuple(
        Chapter(c["chapter"], c["title"], tuple(_lesson(n, f"{c['chapter']}/") for n in c["notebooks"]))
        for c in plain["chapters"]
    )
    return Map(_lesson(plain["start"]), chapters)


def _lesson(plain, folder=""):
    concepts = tuple(_concept(c) for c in plain.get("concepts", ()))
    return Lesson(folder + plain["notebook"], plain["title"], plain["minutes"], concepts)


def _concept(plain):
    return Concept(**{key: tuple(value) if isinstance(value, list) else value for key, value in plain.items()})


def write(plain, path=None):
    """Write the map back, whole, in the one form the file has."""
    body = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=10_000)
    return write_whole(path or data_dir() / "curriculum.yaml", HEADER + body)
