"""The `coverage` command: the map with its states, and the places that are kept up to date with the notebooks.

Left out: computing the states, which `coverage` does.
"""

import base64
from collections import Counter

from llmrl.course import coverage, curriculum, places, stored
from llmrl.course.seconds import aligned
from llmrl.storage import write_whole


def print_states(missing=False):
    """Print concept, notebook and state of the whole map, or of what does not stand."""
    course = curriculum.read()
    found = coverage.states(course, coverage.read())
    rows = [
        (concept.id, lesson.name, str(found[concept.id]))
        for lesson in course.lessons
        for concept in lesson.concepts
        if not (missing and found[concept.id].stands)
    ]
    print("\n".join(aligned([("concept", "notebook", "state"), *rows])))
    counts = Counter(str(state) for state in found.values())
    print(f"\n{len(found)} concepts: " + ", ".join(f"{count} {state}" for state, count in counts.most_common()))
    return 0


def write_map():
    """Refresh what data/curriculum.yaml reads off the notebooks."""
    curriculum.write(coverage.filled(curriculum.load(), coverage.read()))
    return 0


def first_picture():
    """The README's picture: what the cell tagged "readme" of the first notebook stored; None before it ran."""
    path = places.root() / "notebooks" / f"{curriculum.read().start.name}.ipynb"
    cells = stored.read(path)["cells"] if path.exists() else []
    for cell in cells:
        if "readme" in cell["metadata"].get("tags", ()):
            return next((base64.b64decode(out["data"]["image/png"]) for out in cell["outputs"] if "data" in out), None)
    return None


def write_readme():
    """Refresh the map of chapters and the picture of README.md."""
    if picture := first_picture():
        write_whole(places.root() / "docs" / "first_minute.png", picture)
    course = curriculum.read()
    path = places.root() / "README.md"
    table = coverage.readme_table(course, coverage.states(course, coverage.read()))
    write_whole(path, coverage.with_table(path.read_text(encoding="utf-8"), table))
    return 0
