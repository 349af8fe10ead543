"""Small notebooks to try the rules on: one that keeps them all, and the parts to break it with."""

import copy

from llmrl.course import stored

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
STAMP = "from llmrl.lesson import begin\nbegin('01/a')"


def words(text="Some words.", **metadata):
    return {"cell_type": "markdown", "id": "w", "metadata": metadata, "source": text}


def code(source, *outputs, count=None, **metadata):
    return {
        "cell_type": "code", "id": "c", "metadata": metadata, "source": source,
        "execution_count": count, "outputs": list(outputs),
    }  # fmt: skip


def said(text, name="stdout"):
    return {"output_type": "stream", "name": name, "text": text}


def drawn(alt="A line that falls from four to one.", kind="image/png", value=PIXEL):
    metadata = {kind: {"alt": alt}} if alt is not None else {}
    return {"output_type": "display_data", "data": {kind: value, "text/plain": "<Figure>"}, "metadata": metadata}


def failed(name="ValueError", value="no"):
    return {"output_type": "error", "ename": name, "evalue": value, "traceback": []}


def notebook(*cells):
    """A notebook of these cells, each with an id of its own, code cells counted from 1."""
    cells = [copy.deepcopy(cell) | {"id": f"cell-{place}"} for place, cell in enumerate(cells)]
    for count, cell in enumerate((cell for cell in cells if cell["cell_type"] == "code"), 1):
        cell["execution_count"] = cell["execution_count"] or count
    return stored.tidy({"cells": cells, "metadata": {}})


def good():
    """A notebook that keeps every rule: a beginning, one concept with figure and check, two exercises."""
    return notebook(
        words("# A lesson"),
        code(STAMP, said("Lesson 1.1\n")),
        words("## An idea", concepts=["a.idea"]),
        code("figure(draw(4), alt='A line that falls from four to one.')", drawn()),
        code("check.greater('four is more than three', 4, 3)", said("✓ four is more than three\n")),
        words("Your turn."),
        code("def double(x):\n    ...", tags=["exercise"]),
        words("And again."),
        code("def halve(x):\n    ...", tags=["exercise"]),
    )
