"""Keeping the first cell of every notebook the same.

`python -m llmrl stamp` writes it from the one template in `llmrl.lesson`. A notebook that has its outputs keeps them:
the cell's own output does not depend on its wording. Left out: every other cell.
"""

import nbformat

from llmrl.course import places, stored


def stamp(path):
    """Give the notebook at path the course's first cell; True when that changed it."""
    from llmrl.lesson import first_cell

    notebook, wanted = stored.read(path), first_cell(places.name(path)).rstrip("\n")
    codes = stored.code_cells(notebook)
    first = codes[0][1] if codes else None
    if first is None or not begins(first):
        notebook["cells"].insert(_after_title(notebook), nbformat.v4.new_code_cell(wanted, id="begin"))
    elif stored.source(first) == wanted:
        return False
    else:
        first["source"] = wanted
    stored.write(notebook, path)
    return True


def begins(cell):
    """True when the cell is some version of the course's first cell."""
    return "begin(" in stored.source(cell)


def _after_title(notebook):
    """The place of the first code cell in a notebook that has none of ours: after its title."""
    return int(bool(notebook["cells"]) and notebook["cells"][0]["cell_type"] == "markdown")
