"""A picture of a model, drawn from what happened while it ran: draw(trace(model, ids)).

Three bands: what comes before the decoder stack, the stack, what comes after. The stream of vectors is a line from top
to bottom. A wide box stands on the line and replaces what flows in it; an indented box reads the line, and a plus adds
what it wrote back. Every box carries the shape of the tensor it handed on and the numbers it learned. Layers that are
alike are folded, and the first is opened. Left out: whatever lies deeper than a line in a box.
"""

from dataclasses import dataclass, field
from itertools import groupby

from llmrl.lm.blueprint import ARROW, INDENT, LEFT, Sheet
from llmrl.lm.tracing import Record, trace

__all__ = ["draw", "trace"]
SAYS = {"scaled_dot_product_attention": "softmax(q·k) v", "add": "add to the stream"}  # functions, in plain words


@dataclass
class Part:
    """A record and what ran inside it."""

    record: Record
    inside: list = field(default_factory=list)

    @property
    def last(self):
        return self.record.name.rpartition(".")[2]

    @property
    def numbered(self):
        """One of several siblings, such as layers.3."""
        return self.last.isdigit() and bool(self.inside)

    @property
    def adds(self):
        return self.record.kind == "function" and self.last == "add"

    @property
    def label(self):
        if self.last.isdigit():
            return ".".join(self.record.name.split(".")[-2:])
        return SAYS.get(self.last, self.last) if self.record.kind == "function" else self.last

    @property
    def note(self):
        """The kind where the name does not say it, and whose weights are used again."""
        kind = self.record.kind
        said = kind == "function" or kind.lower() in self.record.name.lower()
        tied = self.record.tied.rpartition(".")[2]
        return " · ".join(([] if said else [kind]) + ([f"tied to {tied}"] if tied else []))

    @property
    def role(self):
        """What it is, which decides its colour."""
        kind, r = self.record.kind.lower(), self.record
        if r.tied or "embedding" in kind and r.parameters:
            return "embedding"
        if "norm" in kind or not r.parameters:
            return "norm"
        if any(part.last == "scaled_dot_product_attention" for part in self.inside):
            return "attention"
        return "network" if self.inside else "other"

    def alike(self, other):
        """Of one kind and size, inside as well: one drawing serves both."""
        same = all(getattr(self.record, x) == getattr(other.record, x) for x in ("kind", "parameters"))
        return same and len(self.inside) == len(other.inside) and all(map(Part.alike, self.inside, other.inside))

    def holds(self, part):
        return any(inner is part or inner.holds(part) for inner in self.inside)


def tree(records):
    """Records in the order they began -> the model as a Part with everything inside it."""
    path = []
    for record in records:
        part = Part(record)
        del path[record.depth :]
        if path:
            path[-1].inside.append(part)
        path.append(part)
    return path[0]


def stack_of(part):
    """The decoder stack inside a part: of all rows of numbered siblings, the one that learned the most."""
    numbered = [inner for inner in part.inside if inner.numbered]
    rows = [list(row) for _, row in groupby(numbered, lambda inner: inner.record.name.rpartition(".")[0])]
    found = rows + [stack_of(inner) for inner in part.inside]
    return max(found, key=lambda row: sum(inner.record.parameters for inner in row), default=[])


def along(part, stack):
    """The parts from a model's input to its output, with whatever holds the stack opened."""
    nested = [along(inner, stack) if stack and inner.holds(stack[0]) else [inner] for inner in part.inside]
    return [inner for parts in nested for inner in parts] or [part]


def bands(whole):
    """(name, parts) of the three bands; a single band for a model without a stack."""
    stack = stack_of(whole)
    line = along(whole, stack)
    if not stack:
        return [("Model", line)]
    first, last = (next(i for i, part in enumerate(line) if part is layer) for layer in (stack[0], stack[-1]))
    return [("Input layer", line[:first]), (f"Decoder stack × {len(stack)}", stack), ("Output layer", line[last + 1 :])]


def aside(line):
    """Parts whose tensor nobody along the line reads, such as a table of angles; the last one is the model's answer."""
    return [p for i, p in enumerate(line[:-1]) if all(p.record.writes != after.record.reads for after in line[i + 1 :])]


def folded(parts):
    """Neighbours that are numbered and alike, as one list each."""
    runs = []
    for part in parts:
        if runs and part.numbered and runs[-1][-1].numbered and runs[-1][-1].alike(part):
            runs[-1].append(part)
        else:
            runs.append([part])
    return runs


def branches(parts):
    """The insides of a layer as (parts on the stream, parts that read it, the sum that adds what those wrote)."""
    group = []
    for part in parts:
        if part.adds:
            on = next((i + 1 for i, p in enumerate(group) if p.record.writes == part.record.reads), 0)
            yield group[:on], group[on:], part
            group = []
        else:
            group.append(part)
    yield group, [], None


def draw(records, title=None, ends=("token ids", "logits")):
    """The picture of a traced model, as a figure; `ends` name what goes in and what comes out."""
    if not records:
        raise ValueError("there is nothing to draw, got no records: draw(trace(model, ids)) draws one forward pass")
    whole, sheet = tree(records), Sheet()
    off = aside(along(whole, stack_of(whole)))
    sheet.heading(title or f"{whole.record.kind}: {whole.record.parameters:,} parameters")
    top = sheet.end(ends[0], whole.record.inputs)
    for name, parts in bands(whole):
        with sheet.band(name, sum(part.record.parameters for part in parts)):
            for first, *others in folded(parts):
                if first.numbered:
                    layer(sheet, first)
                else:
                    box(sheet, first, INDENT if any(first is part for part in off) else LEFT)
                if others:
                    pile(sheet, others)
    sheet.stream(top, sheet.end(ends[1], whole.record.outputs))
    return sheet.finish()


def layer(sheet, part):
    """A layer, opened."""
    with sheet.frame(part.label, part.record):
        for on, branch, add in branches(part.inside):
            for inner in on:
                box(sheet, inner, LEFT)
            boxes = []
            for inner in branch:
                boxes.append(box(sheet, inner, INDENT))
                sheet.y += ARROW
            if boxes:
                sheet.rejoin(boxes, add.label, add.record)


def box(sheet, part, left):
    """A box with a line for everything inside. Returns its top and its bottom."""
    inside = [(run[0].label if len(run) == 1 else names(run), run[0].record) for run in folded(part.inside)]
    return sheet.box(left, part.role, part.label, part.note, part.record, inside)


def pile(sheet, layers):
    """Layers like the one above them."""
    count = sum(part.record.parameters for part in layers)
    sheet.pile(names(layers), "alike inside", layers[-1].record, count)


def names(run):
    return run[0].label if len(run) == 1 else f"{run[0].label} to {run[-1].label}"
