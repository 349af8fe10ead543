"""The sections of a notebook: which concept each one opens, and what it brings as evidence.

A cell whose metadata lists "concepts" opens a section that runs to the next such cell. Evidence is what a reader can
see: checks that were executed, and figures, tables or players among the outputs.
Left out: whether a claim is a good one. A reader judges that.
"""

import ast
from dataclasses import dataclass, field

from llmrl.course.stored import source

PICTURES = ("image/png", "image/svg+xml", "image/jpeg")


@dataclass
class Section:
    """One or more concepts that open together, and the cells up to the next opening."""

    concepts: list
    cells: list = field(default_factory=list)

    @property
    def checks(self):
        """The claims this section checked when it was run, in the words of the notebook."""
        return [claim for cell in self.cells if executed(cell) for claim in claims(cell)]

    @property
    def shows(self):
        """True when something computed here can be looked at."""
        return any(executed(cell) and shows(cell) for cell in self.cells)


def sections(notebook):
    """The sections in order; cells before the first opening belong to none."""
    found = []
    for cell in notebook["cells"]:
        opens = cell.get("metadata", {}).get("concepts")
        if opens:
            found.append(Section(list(opens)))
        if found:
            found[-1].cells.append(cell)
    return found


def executed(cell):
    """True for a code cell that was run and ended without an error."""
    if cell["cell_type"] != "code" or cell.get("execution_count") is None:
        return False
    return not any(out["output_type"] == "error" for out in cell.get("outputs", ()))


def pictures(cell):
    """(kind, alt text or None) of each figure among a cell's outputs."""
    for out in cell.get("outputs", ()):
        data, meta = out.get("data", {}), out.get("metadata", {})
        for kind in PICTURES:
            if kind in data:
                yield kind, meta.get(kind, {}).get("alt") or meta.get("alt")


def shows(cell):
    """True when the cell's outputs hold a figure, a table or a player."""
    return any(set(out.get("data", {})) & {*PICTURES, "text/html"} for out in cell.get("outputs", ()))


def tree(cell):
    """The syntax tree of a code cell, notebook commands such as %time included; None when it is not Python."""
    from IPython.core.inputtransformer2 import TransformerManager

    try:
        return ast.parse(TransformerManager().transform_cell(source(cell)))
    except SyntaxError:
        return None


def claims(cell):
    """The first argument of every check.<kind>("claim", ...) in a code cell, as it is written."""
    calls = [node for node in ast.walk(tree(cell) or ast.Module([], [])) if _is_check(node)]
    return [_words(call.args[0]) for call in sorted(calls, key=lambda call: call.lineno) if call.args]


def _is_check(node):
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)):
        return False
    return isinstance(node.func.value, ast.Name) and node.func.value.id == "check"


def _words(node):
    if isinstance(node, ast.Constant):
        return str(node.value)
    return ast.unparse(node)
