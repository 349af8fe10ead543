"""The rules every notebook of the course keeps, each a function from a notebook to the problems it has.

A problem is one sentence that names the cell. Cells are counted from 0, as the file has them. The rules look at the
stored notebook only and run nothing, so they are quick and need no kernel.
Left out: whether the outputs are true. `make test` runs every notebook and compares.
"""

import ast
import json
import re

from llmrl.course import copies
from llmrl.course.sections import claims, pictures, sections, shows, tree
from llmrl.course.stored import code_cells, source, text

LINES, IN_A_ROW, ALT = 20, 2, 15
MACHINE = re.compile(r"(?<![\w.:/-])/(?:root|home|tmp|work|Users|private|var|opt|mnt)/[\w.-]+|\b[A-Z]:\\\\?Users\\")
ADDRESS = re.compile(r"\bat 0x[0-9a-fA-F]{6,}")


def tags(cell):
    """The tags of a cell."""
    return cell.get("metadata", {}).get("tags", [])


def executed_in_order(notebook):
    """Every code cell was run, top to bottom, in one go."""
    counts = [cell.get("execution_count") for _, cell in code_cells(notebook)]
    if counts != list(range(1, len(counts) + 1)):
        yield f"not run top to bottom in one go: execution counts are {counts}"
    filled = [place for place, _ in code_cells(notebook)]
    for place, cell in enumerate(notebook["cells"]):
        if cell["cell_type"] == "code" and place not in filled:
            yield f"cell {place}: an empty code cell"


def no_errors(notebook):
    """No output is an error, unless the cell is there to show one."""
    for place, cell in code_cells(notebook):
        for out in cell["outputs"]:
            if out["output_type"] == "error" and "raises-exception" not in tags(cell):
                yield f"cell {place}: ends in {out.get('ename')}: {out.get('evalue', '')[:80]}"


def no_stderr(notebook):
    """Nothing was printed to stderr: a reader would see a warning."""
    for place, cell in code_cells(notebook):
        for out in cell["outputs"]:
            if out.get("name") == "stderr":
                yield f"cell {place}: printed to stderr: {''.join(out['text']).strip()[:80]}"


def nothing_of_this_machine(notebook):
    """No output shows a folder of the machine it was made on, or a place in its memory."""
    for place, cell in code_cells(notebook):
        shown = _text(cell["outputs"])
        for what, pattern in (("a folder of one machine", MACHINE), ("a place in memory", ADDRESS)):
            if found := pattern.search(shown):
                yield f"cell {place}: shows {what}: {found.group()}"


def _text(outputs):
    """The outputs without their pictures, as one string."""
    words = []
    for out in outputs:
        data = {kind: value for kind, value in out.get("data", {}).items() if not kind.startswith("image/")}
        words.append(json.dumps(dict(out) | {"data": _without_inline_images(data)}, ensure_ascii=False))
    return "\n".join(words)


def _without_inline_images(data):
    shown = {kind: "".join(value) if isinstance(value, list) else str(value) for kind, value in data.items()}
    return {kind: re.sub(r"base64,[A-Za-z0-9+/=\s\\n]+", "", value) for kind, value in shown.items()}


def figures_described(notebook):
    """Every figure has a text for those who cannot see it."""
    for place, cell in code_cells(notebook):
        for kind, alt in pictures(cell):
            if len((alt or "").strip()) < ALT:
                yield f"cell {place}: {kind} needs alt text of at least {ALT} characters, has {alt!r}"


def cells_short(notebook, most=LINES):
    """No code cell is longer than a reader can take in."""
    for place, cell in code_cells(notebook):
        lines = sum(1 for line in source(cell).splitlines() if line.strip())
        if lines > most:
            yield f"cell {place}: {lines} lines of code, {most} are the most"


def words_between(notebook, most=IN_A_ROW):
    """No more than two code cells follow each other without a word."""
    run = 0
    for place, cell in enumerate(notebook["cells"]):
        run = run + 1 if cell["cell_type"] == "code" else 0
        if run > most:
            yield f"cell {place}: {run} code cells in a row, {most} are the most"


def starts_with(notebook, stamp):
    """The first code cell is the one every notebook starts with."""
    first = [source(cell) for _, cell in code_cells(notebook)[:1]]
    if first != [stamp.rstrip("\n")]:
        yield "the first code cell is not the course's own: run `python -m llmrl stamp`"


def concepts_known(notebook, known):
    """Every concept a cell opens is on the map, for this notebook, and opened once."""
    opened = [concept for section in sections(notebook) for concept in section.concepts]
    for concept in dict.fromkeys(opened):
        if concept not in known:
            yield f"opens {concept!r}, which data/curriculum.yaml does not list for this notebook"
        if opened.count(concept) > 1:
            yield f"opens {concept!r} {opened.count(concept)} times"


def concepts_whole(notebook):
    """Every concept that is opened has an executed check and a computed figure or table before the next one opens."""
    for section in sections(notebook):
        for concept in section.concepts:
            if not section.checks:
                yield f"concept {concept}: no executed check in its section"
            if not section.shows:
                yield f"concept {concept}: no computed figure or table in its section"


def library_not_copied(notebook, library):
    """No function of the library stands in a notebook: show it, call it, do not copy it."""
    for place, cell in code_cells(notebook):
        for node in copies.functions(tree(cell) or tree({"source": ""})):
            origin = library.shapes.get(copies.shape(node)) if copies.size(node) >= copies.SMALL else None
            if origin:
                yield f"cell {place}: {node.name}() is a copy of llmrl.{origin}: use show() and import it"
            elif node.name in library.names and "exercise" not in tags(cell):
                known = f"llmrl.{library.names[node.name]}"
                yield f"cell {place}: {node.name}() has the name of {known}: import that, or choose another name"


def is_python(notebook):
    """Every code cell is Python, unless it is there to show that it is not."""
    for place, cell in code_cells(notebook):
        if tree(cell) is None and "raises-exception" not in tags(cell):
            yield f"cell {place}: not Python"


def exercises(notebook, least=2):
    """A lesson has at least two exercises, in cells tagged "exercise"."""
    found = sum("exercise" in tags(cell) for cell in notebook["cells"])
    if found < least:
        yield f"{found} exercises (cells tagged 'exercise'), a lesson has at least {least}"


def stubs_take_no_name(notebook):
    """An exercise's function hides nothing that other cells import: what they show and call is the library's own."""
    imported = set()
    for _, cell in code_cells(notebook):
        for node in ast.walk(tree(cell) or ast.Module([], [])):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                imported |= {alias.asname or alias.name for alias in node.names}
    for place, cell in code_cells(notebook):
        stub = tree(cell) if "exercise" in tags(cell) else None
        for node in stub.body if stub else []:
            if isinstance(node, copies.FUNCTIONS) and node.name in imported:
                yield f"cell {place}: the stub {node.name}() hides what another cell imports: call it my_{node.name}"


def solutions_come_after(notebook, solutions):
    """No cell shows the library's lines before the learner was asked to write them.  solutions: exercise -> function"""
    shown = set()
    for place, cell in code_cells(notebook):
        calls = [node for node in ast.walk(tree(cell) or ast.Module([], [])) if isinstance(node, ast.Call)]
        for call in calls:
            name = getattr(call.func, "id", None)
            if name == "grade" and call.args and isinstance(call.args[0], ast.Constant):
                solution = solutions.get(call.args[0].value, "").rpartition(".")[2]
                if solution in shown:
                    yield f"cell {place}: {solution}() was shown further up: show it after its exercise"
            elif name == "show":
                shown |= {getattr(arg, "id", getattr(arg, "attr", None)) for arg in call.args}


def outputs_compared(notebook):
    """What is not compared when the notebook is tested is a table or a player, never the verdict of a check."""
    for place, cell in code_cells(notebook):
        if {"nbval-ignore-output", "nbval-skip"} & set(tags(cell)) and claims(cell) and not shows(cell):
            yield f"cell {place}: its checks are tagged to be ignored when the notebook is tested"


def in_its_one_form(notebook, stored):
    """The file is stored the way `python -m llmrl run` stores it: one kernel, no timestamps, keys in order."""
    if text(notebook) != stored:
        yield "not stored in the course's form: run `python -m llmrl run` on it"
