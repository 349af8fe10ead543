"""The `coverage` command: the map with its states, and the two places where the map is kept up to date.

Left out: computing the states, which `coverage` does.
"""

from collections import Counter

from llmrl.course import coverage, curriculum, places
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


def write_readme():
    """Refresh the map of chapters in README.md."""
    course = curriculum.read()
    path = places.root() / "README.md"
    table = coverage.readme_table(course, coverage.states(course, coverage.read()))
    write_whole(path, coverage.with_table(path.read_text(encoding="utf-8"), table))
    return 0
