"""Finding library code that was copied into a notebook.

Functions are compared by what they do, not by what they are called: names of the function, its arguments and its
variables are replaced by numbers in order of appearance, docstrings and annotations are dropped, and the syntax trees
have to be equal. Functions too small to be anybody's (fewer than SMALL nodes) count only under the library's own name.
Left out: a copy with its lines rearranged. That much work is a rewrite.
"""

import ast
from dataclasses import dataclass

SMALL = 30
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True)
class Library:
    """What the library defines: names of public functions, and the shape of every function."""

    names: dict
    shapes: dict


def functions(tree):
    """Every function below a syntax tree, methods and inner functions included."""
    return [node for node in ast.walk(tree) if isinstance(node, FUNCTIONS)]


def library(folder):
    """What the modules below folder define, as module.function by name and by shape."""
    names, shapes = {}, {}
    for path in sorted(folder.rglob("*.py")):
        module = ".".join(path.relative_to(folder).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in functions(tree):
            shapes.setdefault(shape(node), f"{module}.{node.name}")
        for node in tree.body:
            if isinstance(node, FUNCTIONS) and not node.name.startswith("_"):
                names.setdefault(node.name, f"{module}.{node.name}")
    return Library(names, shapes)


def size(node):
    """The number of nodes of a function's shape."""
    return sum(1 for _ in ast.walk(_bare(node)))


def shape(node):
    """A function without the names somebody chose: equal for two functions that do the same in the same words."""
    return ast.dump(_Renamed().visit(_bare(node)))


def _bare(node):
    copy = ast.parse(ast.unparse(node)).body[0]
    copy.name, copy.returns, copy.decorator_list = "_", None, []
    for inner in ast.walk(copy):
        if isinstance(inner, (*FUNCTIONS, ast.ClassDef)) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
        if isinstance(inner, ast.arg):
            inner.annotation = None
    return copy


class _Renamed(ast.NodeTransformer):
    """Replace variables and arguments by numbers; attributes and keywords keep their names."""

    def __init__(self):
        self.numbers = {}

    def _number(self, name):
        return str(self.numbers.setdefault(name, len(self.numbers)))

    def visit_Name(self, node):
        return ast.copy_location(ast.Name(self._number(node.id), node.ctx), node)

    def visit_arg(self, node):
        return ast.copy_location(ast.arg(self._number(node.arg)), node)
