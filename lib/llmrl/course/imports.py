"""The import graph of the library, drawn from its source, and the direction it has to keep.

Every folder has a rank. A module imports from ranks below its own, or from its own folder. Imports inside functions
count too. Packages that are slow to load are imported inside the function that uses them, never at the top.
Left out: imports made by name at run time. The lesson kit finds the exercises of the subjects that way.
"""

import ast
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

RANKS = {
    "llmrl": 0, "storage": 0, "seeds": 0, "toy.files": 0,
    "lesson": 1, "toy": 1,
    "lm": 2, "rl": 2, "toy.exercises": 2,
    "toy.checkpoints": 3, "toy.environments": 3, "toy.spoiled": 3, "toy.catch": 3, "rlhf.kl": 3,
    "tuning": 4, "policy": 4, "perf": 4,
    "preference": 5,
    "rlhf": 6, "reasoning": 6,
    "toy.recipes": 7, "toy.effects": 7, "toy.effect_table": 7, "studies": 7,
    "course": 8,
    "__main__": 9,
}  # fmt: skip
HEAVY = {"transformers", "trl", "peft", "stable_baselines3", "sb3_contrib", "datasets", "accelerate"}


@dataclass(frozen=True)
class Import:
    """One import: the module that imports, what it imports, the line, and whether it happens on loading."""

    module: str
    target: str
    line: int
    at_top: bool


def modules(folder):
    """The syntax tree of each module of the package below folder, by name: "lm.tokenizer", "llmrl" for the package."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__") or "llmrl"
        found[name] = ast.parse(path.read_text(encoding="utf-8"), str(path))
    return found


def graph(trees):
    """Every import of every module; targets inside the package are named as the modules are."""
    return [found for name, tree in trees.items() for found in _imports(name, tree, trees)]


def _imports(name, tree, trees):
    functions = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]
    late = {inner for function in functions for inner in ast.walk(function)}
    is_folder = name == "llmrl" or any(other.startswith(f"{name}.") for other in trees)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            targets = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            targets = _from(node, name, is_folder)
        else:
            continue
        for target in targets:
            yield Import(name, _module(target, trees), node.lineno, node not in late)


def _from(node, name, is_folder):
    """The full names of a from-import; a relative one is counted from the module's own folder."""
    base = node.module or ""
    if node.level:
        parts = ["llmrl", *name.split(".")] if name != "llmrl" else ["llmrl"]
        folder = parts[: len(parts) - node.level + is_folder]
        base = ".".join(folder + [base] if base else folder)
    return [f"{base}.{alias.name}" for alias in node.names]


def _module(target, trees):
    """The longest known module a dotted name lies in; a name from elsewhere keeps its first part."""
    if target.split(".")[0] != "llmrl":
        return target.split(".")[0]
    parts = target.split(".")[1:]
    while parts and ".".join(parts) not in trees:
        parts = parts[:-1]
    return ".".join(parts) or "llmrl"


def rank(module):
    """The rank of a module: its own where it has one, or its folder's."""
    for name in (module, module.split(".")[0]):
        if name in RANKS:
            return RANKS[name]
    raise ValueError(f"{module} has no rank: give its folder one in llmrl.course.imports.RANKS")


def steps_back(imports, trees):
    """The imports that point the wrong way, each as a sentence."""
    for found in imports:
        if found.target not in trees:
            continue
        here, there = rank(found.module), rank(found.target)
        same_folder = found.module.split(".")[0] == found.target.split(".")[0]
        if there > here or (there == here and not same_folder and here > 0):
            yield (
                f"{found.module} (rank {here}) imports {found.target} (rank {there}) in line {found.line}: "
                f"a module imports from ranks below its own or from its own folder"
            )


def heavy_at_top(imports):
    """Imports of slow packages that happen when a module is loaded."""
    for found in imports:
        if found.target in HEAVY and found.at_top:
            where = f"{found.module} imports {found.target} on loading (line {found.line})"
            yield f"{where}: import it inside the function that uses it"


def cycles(imports, trees):
    """A circle of imports that happen on loading, if there is one."""
    sorter = TopologicalSorter({name: set() for name in trees})
    for found in imports:
        if found.at_top and found.target in trees and found.target != found.module:
            sorter.add(found.module, found.target)
    try:
        sorter.prepare()
    except CycleError as error:
        yield "a circle of imports: " + " -> ".join(reversed(error.args[1]))
