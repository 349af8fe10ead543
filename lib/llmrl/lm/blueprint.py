"""The paper an architecture is drawn on: boxes in one column, numbers in two, all measured in inches.

Everything is placed from the top down, and the sheet becomes as high as what stands on it. Colour says what a box is;
so does its name. Left out: any knowledge of models.
"""

from contextlib import contextmanager

from llmrl.lesson.style import ROLES, WIDTH

SIZE = 13  # of names, in points
COLOURS = {  # what a box is -> its role in the course's palette
    "embedding": "chosen",
    "norm": "neutral",
    "attention": "policy",
    "network": "reward",
    "other": "highlight",
}
INK, FAINT, PAPER, BAND = ROLES["reference"], "#595959", "#FFFFFF", "#F0F0EE"
MARGIN, LEFT, STREAM, INDENT, EDGE = 0.06, 0.44, 0.84, 1.4, 4.62  # from left to right
SHAPE, COUNT = 6.14, 7.28  # right edges of the columns of numbers
ARROW = 0.07  # more room between boxes that an arrow connects
ROW, LINE, GAP = 0.38, 0.29, 0.13  # the heights of a box, of a line inside a box, of what is between boxes


class Sheet:
    """A figure that grows downwards; y is how far it reaches."""

    def __init__(self):
        from matplotlib import pyplot as plt

        self.fig = plt.figure(figsize=(WIDTH, 1), layout="none")
        self.ax = self.fig.add_axes((0, 0, 1, 1))
        self.ax.axis("off")
        self.y = 0.0

    def finish(self):
        """The figure, cut to what was drawn."""
        self.fig.set_size_inches(WIDTH, self.y + MARGIN)
        self.ax.set(xlim=(0, WIDTH), ylim=(self.y + MARGIN, 0))
        return self.fig

    def heading(self, title):
        """The title, and the names of the columns."""
        lines = title.count("\n") + 1
        self.text(MARGIN, 0.12 + 0.135 * lines, title, 15, weight="bold", linespacing=1.3)
        self.y = 0.42 + 0.27 * lines
        for x, words in ((SHAPE, "shape out"), (COUNT, "parameters")):
            self.text(x, self.y - 0.04, words, 11.5, color=FAINT, ha="right")
        self.y += GAP

    def end(self, name, shape):
        """What goes into the model or comes out of it. Returns the height it stands at."""
        y = self.y + ROW / 2
        self.patch(LEFT, self.y, LEFT + 1.5, self.y + ROW, PAPER, INK, radius=ROW / 2, lw=1.6, zorder=4)
        self.text(LEFT + 0.75, y, name, ha="center")
        self.numbers(y, shape)
        self.y += ROW + GAP
        return y

    @contextmanager
    def band(self, name, count):
        """A part of the model with its name and all it learned."""
        top, self.y = self.y, self.y + 0.44
        self.text(STREAM + 0.22, top + 0.23, name, 14, weight="bold")
        self.numbers(top + 0.23, (), count, weight="bold")
        yield
        self.patch(MARGIN, top, WIDTH - MARGIN, self.y, BAND, zorder=0)
        self.y += GAP

    @contextmanager
    def frame(self, name, record):
        """A layer that is opened."""
        top, self.y = self.y, self.y + 0.42
        self.label(STREAM + 0.22, top + 0.21, name, "opened")
        self.numbers(top + 0.21, record.outputs, record.parameters)
        yield
        self.text(STREAM - 0.33, (top + self.y) / 2, "residual stream", 12, rotation=90, ha="center", color=FAINT)
        self.patch(MARGIN + 0.12, top, WIDTH - MARGIN - 0.07, self.y, PAPER, "#BBBBBB", lw=1, zorder=1)
        self.y += GAP

    def box(self, left, role, name, note, record, inside=()):
        """A box with its numbers, and a line for each (name, record) inside it. Returns its top and its bottom."""
        top, y = self.y, self.y + ROW / 2
        bottom = top + ROW + LINE * len(inside) + (0.08 if inside else 0)
        colour = ROLES[COLOURS[role]]
        self.patch(left, top, EDGE, bottom, tint(colour), FAINT if role == "norm" else colour, lw=1.4, zorder=4)
        self.label(left + 0.14, y, name, note)
        self.numbers(y, record.outputs, record.parameters)
        for i, (name, inner) in enumerate(inside):
            y = top + ROW + LINE * (i + 0.5)
            self.patch(left + 0.14, y - LINE / 2 + 0.02, EDGE - 0.12, y + LINE / 2 - 0.02, PAPER, radius=0.05, zorder=5)
            self.text(left + 0.24, y, name, 12)
            self.numbers(y, inner.outputs, inner.parameters or None, color=FAINT)
        self.y = bottom + GAP
        return top, bottom

    def rejoin(self, boxes, name, record):
        """A branch: from the stream into the first of boxes (top, bottom), down through the others, back by a plus."""
        x, y = INDENT + 0.3, self.y
        enters = boxes[0][0] + ROW / 2
        self.dot(STREAM, enters)
        self.arrow((STREAM, enters), (INDENT, enters))
        for (_, bottom), (top, _) in zip(boxes, boxes[1:]):
            self.arrow((x, bottom), (x, top))
        self.line((x, boxes[-1][1]), (x, y))
        self.arrow((x, y), (STREAM + 0.13, y))
        self.plus(STREAM, y)
        self.text(x + 0.12, y + 0.02, name, 12, color=FAINT)
        self.numbers(y + 0.02, record.outputs)
        self.y = y + 0.13 + 1.4 * GAP

    def pile(self, name, note, record, count):
        """Layers like the one above, as a pile of cards."""
        top = self.y
        for i in (2, 1, 0):
            left, y = LEFT + 0.055 * i, top + 0.055 * i
            self.patch(left, y, left + EDGE - LEFT - 0.11, y + ROW, PAPER, FAINT, lw=1.2, zorder=4 - 0.1 * i)
        self.label(LEFT + 0.14, top + ROW / 2, name, note)
        self.numbers(top + ROW / 2, record.outputs, count)
        self.y = top + ROW + 0.11 + GAP

    def stream(self, top, bottom):
        """The line everything stands on."""
        self.line((STREAM, top), (STREAM, bottom), width=5.5, zorder=2)

    def text(self, x, y, words, size=SIZE, **style):
        self.ax.text(x, y, words, fontsize=size, va="center", **{"color": INK, "zorder": 6} | style)

    def numbers(self, y, shape, count=None, **style):
        """The two columns: the shape handed on, the numbers learned."""
        self.text(SHAPE, y, " × ".join(map(str, shape)), 12.5, ha="right", **style)
        if count is not None:
            self.text(COUNT, y, written(count), 12.5, ha="right", **style)

    def label(self, x, y, name, note):
        """A name in bold and, where there is room, what kind of thing it is."""
        self.text(x, y, name, weight="bold")
        after = x + wide(name, SIZE, "bold") + 0.14
        if after + wide(note, 11.5) < EDGE - 0.08:
            self.text(after, y, note, 11.5, color=FAINT)

    def patch(self, left, top, right, bottom, face, edge="none", radius=0.08, **style):
        from matplotlib.patches import FancyBboxPatch

        style |= {"boxstyle": f"round,pad=0,rounding_size={radius}", "facecolor": face, "edgecolor": edge}
        self.ax.add_patch(FancyBboxPatch((left, top), right - left, bottom - top, **style))

    def line(self, *points, width=1.6, zorder=3):
        self.ax.plot(*zip(*points), color=INK, lw=width, zorder=zorder, solid_capstyle="round")

    def arrow(self, start, end):
        head = {"arrowstyle": "-|>,head_width=0.25,head_length=0.45", "shrinkA": 0, "shrinkB": 0}
        self.ax.annotate("", end, start, arrowprops=head | {"lw": 1.6, "color": INK}, zorder=5)

    def dot(self, x, y):
        self.ax.plot([x], [y], "o", color=INK, ms=9, zorder=5)

    def plus(self, x, y, radius=0.13):
        from matplotlib.patches import Circle

        self.ax.add_patch(Circle((x, y), radius, fc=PAPER, ec=INK, lw=1.8, zorder=5))
        for dx, dy in ((0.6 * radius, 0), (0, 0.6 * radius)):
            self.line((x - dx, y - dy), (x + dx, y + dy), width=1.8, zorder=6)


def tint(colour, strength=0.22):
    """A colour on white paper, light enough to write on."""
    from matplotlib.colors import to_rgb

    return tuple(1 - strength * (1 - c) for c in to_rgb(colour))


def written(count):
    return f"{count:,}" if count < 1e8 else f"{count / 1e9:.3g} billion"


def wide(words, size, weight="normal"):
    """The width of a text in inches."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    return TextPath((0, 0), words, size, prop=FontProperties(weight=weight)).get_extents().x1 / 72 if words else 0.0
