"""A notebook as it is stored: read, written whole, and free of everything that would change without meaning.

Two runs that computed the same leave the same bytes: no timestamps, no editor's settings, one kernel, keys in order.
Left out: the outputs themselves. Nothing a cell printed is changed here, and nothing it printed is hidden.
"""

import json

import nbformat

from llmrl.storage import write_whole

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
NOISE = {"ExecuteTime", "colab", "collapsed", "execution", "id", "outputId", "pycharm", "scrolled", "vscode"}


def read(path):
    """The notebook at path; a file that is none is named with what is wrong with it."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(plain, dict) or plain.get("nbformat") != 4:
            raise ValueError("it does not say that it is one in format 4")
        nbformat.validate(plain)
        return nbformat.from_dict(nbformat.v4.rwbase.rejoin_lines(nbformat.from_dict(plain)))
    except (ValueError, nbformat.ValidationError) as error:
        reason = str(error).splitlines()[0][:200]
        way_out = f"restore it with `git checkout -- {path.name}` in its folder"
        raise ValueError(f"{path} is not a notebook ({reason}): {way_out}") from error


def write(notebook, path):
    """Store a notebook in its one form."""
    return write_whole(path, text(notebook))


def text(notebook):
    """The notebook as the text of its file."""
    return nbformat.writes(tidy(notebook), version=4) + "\n"


def tidy(notebook):
    """A copy with one kernel, no noise in the metadata, and neighbouring prints joined."""
    cells = []
    for place, cell in enumerate(notebook["cells"]):
        cell = {"id": f"cell-{place}"} | dict(cell)
        cell["metadata"] = {key: value for key, value in sorted(cell["metadata"].items()) if key not in NOISE}
        if cell["cell_type"] == "code":
            cell["outputs"] = join_streams(cell["outputs"])
        cells.append(cell)
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.from_dict({"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5})


def join_streams(outputs):
    """Printed text arrives in pieces whose borders depend on timing: pieces that follow each other become one."""
    joined = []
    for out in outputs:
        before = joined[-1] if joined else {}
        if out["output_type"] == "stream" and before.get("name") == out["name"]:
            joined[-1] = before | {"text": before["text"] + out["text"]}
        else:
            joined.append(dict(out))
    return joined


def source(cell):
    """A cell's text, whether the file keeps it as one string or as lines."""
    lines = cell.get("source", "")
    return lines if isinstance(lines, str) else "".join(lines)


def code_cells(notebook):
    """(place, cell) of the code cells that hold something."""
    return [(i, c) for i, c in enumerate(notebook["cells"]) if c["cell_type"] == "code" and source(c).strip()]
