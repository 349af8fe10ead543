"""What of the map stands: computed from the notebooks, never written down by hand.

A concept stands when a notebook opens it, checks it and shows something computed. The library names and the claims of
a section are read off its cells and kept in the map, so that an installed copy knows them too.
Left out: judging the claims.
"""

import ast
from dataclasses import dataclass

from llmrl.course import curriculum, places, stored
from llmrl.course.sections import sections, tree

BEGIN, END = "<!-- the map of chapters, written by `python -m llmrl coverage --readme` -->", "<!-- end of the map -->"


@dataclass(frozen=True)
class State:
    """How far a concept is: opened in a notebook, checked there, shown there."""

    opened: bool = False
    check: bool = False
    figure: bool = False

    @property
    def stands(self):
        return self.opened and self.check and self.figure

    def __str__(self):
        if not self.opened:
            return "planned"
        missing = [what for what in ("check", "figure") if not getattr(self, what)]
        return "stands" if not missing else f"opened, no {' and no '.join(missing)}"


def read():
    """Every notebook of the course, by name."""
    return {places.name(path): stored.read(path) for path in places.notebooks()}


def states(course, notebooks):
    """The State of every concept by its id."""
    found = {}
    for lesson in course.lessons:
        opened = {c: s for s in sections(notebooks.get(lesson.name, {"cells": []})) for c in s.concepts}
        for concept in lesson.concepts:
            section = opened.get(concept.id)
            found[concept.id] = State(True, bool(section.checks), section.shows) if section else State()
    return found


def evidence(notebook):
    """For each concept a notebook opens: the library names its section uses, and the claims it checks."""
    aliases = _imported(notebook)
    found = {}
    for section in sections(notebook):
        names = {name for cell in section.cells for name in _library_names(cell, aliases)}
        for concept in section.concepts:
            found[concept] = {"library": sorted(names), "checks": list(dict.fromkeys(section.checks))}
    return found


def _imported(notebook):
    """What each name of a notebook means in the library: {"TinyLM": "lm.model.TinyLM"}; the lesson kit is left out."""
    aliases = {}
    for _, cell in stored.code_cells(notebook):
        for node in ast.walk(tree(cell) or ast.Module([], [])):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "llmrl":
                base = node.module.split(".")[1:]
                for alias in node.names:
                    aliases[alias.asname or alias.name] = ".".join([*base, alias.name])
    return {name: meaning for name, meaning in aliases.items() if meaning.split(".")[0] not in ("lesson", "course")}


def _library_names(cell, aliases):
    """The library objects a code cell uses, reading module.name as one where a module was imported."""
    if cell["cell_type"] != "code":
        return
    for node in ast.walk(tree(cell) or ast.Module([], [])):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            if is_module(aliases[node.value.id]):
                yield f"{aliases[node.value.id]}.{node.attr}"
        if isinstance(node, ast.Name) and node.id in aliases and not is_module(aliases[node.id]):
            yield aliases[node.id]


def is_module(name):
    """True when a dotted name below llmrl is a module or a folder of modules."""
    path = places.PACKAGE.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def resolve(name):
    """The library object a name of the map stands for: resolve("lm.model.TinyLM")."""
    from importlib import import_module

    module, _, attribute = name.rpartition(".")
    return getattr(import_module(f"llmrl.{module}"), attribute)


def filled(plain, notebooks):
    """The map, as plain data, with library names and checks of what stands and without those of what does not."""
    found = states(curriculum.parse(plain), notebooks)
    for chapter in [{"chapter": "", "notebooks": [plain["start"]]}, *plain["chapters"]]:
        for notebook in chapter["notebooks"]:
            name = f"{chapter['chapter']}/{notebook['notebook']}".strip("/")
            proofs = evidence(notebooks.get(name, {"cells": []}))
            for concept in notebook.get("concepts", ()):
                concept.pop("library", None), concept.pop("checks", None)
                if found[concept["id"]].stands:
                    concept.update(proofs[concept["id"]])
    return plain


def readme_table(course, found):
    """The map of chapters as a Markdown table: what stands and what is planned."""
    lines = ["| | Chapter | Notebooks that stand | Concepts that stand | Minutes |", "|---|---|---|---|---|"]
    for number, chapter in enumerate(course.chapters, 1):
        whole = [lesson for lesson in chapter.lessons if all(found[c.id].stands for c in lesson.concepts)]
        standing = sum(found[c.id].stands for c in chapter.concepts)
        ready = sum(lesson.minutes for lesson in whole)
        minutes = f"{ready} of {chapter.minutes}" if ready else f"{chapter.minutes}, planned"
        counts = f"{len(whole)} of {len(chapter.lessons)} | {standing} of {len(chapter.concepts)}"
        lines.append(f"| {number} | {chapter.title} | {counts} | {minutes} |")
    return "\n".join(lines)


def with_table(readme, table):
    """The README's text with the table between its two marks."""
    if readme.count(BEGIN) != 1 or readme.count(END) != 1:
        raise ValueError(f"README.md must hold {BEGIN!r} and {END!r} once each: the map is written between them")
    before, rest = readme.split(BEGIN)
    return f"{before}{BEGIN}\n{table}\n{END}{rest.split(END)[1]}"
