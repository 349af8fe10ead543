r"""A search tree drawn with its numbers: visits above, mean value below, as the player sees it who moved there.

What a search believes lies in its tree: which moves it looked at how often, and what came of it. A node is a disc with
N and Q, an edge carries its action. Nodes without a visit are drawn only where asked for, dashed: expansion has just
made them.
Left out: trees too large for a page; `depth` cuts them.
"""


def tree_map(ax, root, lit=(), fresh=(), name=str, depth=9, size=9):
    """Draw a tree.  lit: nodes to colour, and the edges between them; fresh: nodes whose children without visits show.

    name(action) -> the edge's label. -> ax
    """
    places = {}
    _place(root, 0, 0.0, {id(node) for node in fresh}, depth, places)
    lit = {id(node) for node in lit}
    for node, (x, y, parent, action) in ((place[0], place[1:]) for place in places.values()):
        on = id(node) in lit
        if parent is not None:
            x0, y0 = places[id(parent)][1:3]
            bright = on and id(parent) in lit
            ax.plot([x0, x], [y0, y], color="highlight" if bright else "neutral", lw=3 if bright else 1.2, zorder=1)
            ax.text((x0 + 2 * x) / 3, (y0 + 2 * y) / 3, name(action), fontsize=size - 1, ha="center", va="center",
                    bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.6}, zorder=2)  # fmt: skip
        box = {"boxstyle": "round,pad=0.3", "facecolor": "#F3DDEB" if on else "white",
               "edgecolor": "highlight" if on else "reference", "linestyle": "-" if node.N else "--"}  # fmt: skip
        label = f"{node.N}\n{node.Q:+.2f}" if node.N else "new"
        ax.text(x, y, label, fontsize=size, ha="center", va="center", bbox=box, zorder=3)
    xs, ys = zip(*(place[1:3] for place in places.values()))
    ax.set(xlim=(min(xs) - 0.7, max(xs) + 0.7), ylim=(min(ys) - 0.5, max(ys) + 0.5), xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax


def _place(node, level, left, fresh, depth, places, parent=None, action=None):
    """Give a node and all below it a place; -> the next free column."""
    shown = [
        (a, child)
        for a, child in (node.children or {}).items()
        if level < depth and (child.N or id(node) in fresh)
    ]  # fmt: skip
    right = left
    for a, child in shown:
        right = _place(child, level + 1, right, fresh, depth, places, node, a)
    right = max(right, left + 1)
    places[id(node)] = (node, (left + right - 1) / 2, -level, parent, action)
    return right
