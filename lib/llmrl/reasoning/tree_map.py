r"""A search tree drawn with its numbers: visits above, mean value below, as the player sees it who moved there.

What a search believes lies in its tree: which moves it looked at how often, and what came of it. A node is a disc with
N and Q, an edge carries its action. Nodes without a visit are drawn, dashed, only where asked for.
Left out: trees too large for a page; `depth` cuts them.
"""


def tree_map(ax, root, lit=(), fresh=(), name=str, depth=9, size=9):
    """Draw a tree.  lit: nodes to colour, and the edges between them; fresh: nodes all of whose children show.

    name(action) -> the edge's label. -> ax
    """
    places = {}
    lit = {id(node) for node in lit}
    asked = lit | {id(child) for node in fresh for child in node.children.values()}
    _place(root, 0, 0.0, asked, depth, places)
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
        label = f"{node.N}\n{node.Q:+.2f}" if node.N else "0"
        ax.text(x, y, label, fontsize=size, ha="center", va="center", bbox=box, zorder=3)
    xs, ys = zip(*(place[1:3] for place in places.values()))
    ax.set(xlim=(min(xs) - 0.7, max(xs) + 0.7), ylim=(min(ys) - 0.5, max(ys) + 0.5), xticks=[], yticks=[])
    ax.grid(False)
    ax.spines[:].set_visible(False)
    return ax


def _place(node, level, left, asked, depth, places, parent=None, action=None):
    """Give a node and all below it a place; -> the next free column."""
    shown = (node.children or {}).items() if level < depth else ()
    right = left
    for a, child in shown:
        if child.N or id(child) in asked:
            right = _place(child, level + 1, right, asked, depth, places, node, a)
    right = max(right, left + 1)
    places[id(node)] = (node, (left + right - 1) / 2, -level, parent, action)
    return right
