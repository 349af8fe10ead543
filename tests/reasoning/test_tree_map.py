"""A drawn tree shows every visited node once, with its numbers."""

from matplotlib.figure import Figure

from llmrl.lesson import style
from llmrl.reasoning.mcts import mcts
from llmrl.reasoning.tree_map import tree_map
from llmrl.toy.boards import TIC_TAC_TOE, read


def test_every_visited_node_has_its_numbers():
    style.use()
    state = read(TIC_TAC_TOE, "xox .o. .x.")
    root = mcts(TIC_TAC_TOE, state, 8, lambda s: (None, 0.5))
    ax = tree_map(Figure().add_subplot(), root, name=lambda a: f"to {a}")
    labels = [text.get_text() for text in ax.texts]
    assert labels.count(f"8\n{root.Q:+.2f}") == 1 and "0" not in labels
    assert sum("\n" in label for label in labels) == 8  # each evaluation so far reached a node of its own
    assert {f"to {a}" for a in TIC_TAC_TOE.actions(state)} <= set(labels)
    leaf = next(iter(root.children.values()))
    again = [text.get_text() for text in tree_map(Figure().add_subplot(), root, [root, leaf], [leaf]).texts]
    assert again.count("0") == sum(child.N == 0 for child in leaf.children.values())


def test_no_two_nodes_share_a_place():
    root = mcts(TIC_TAC_TOE, TIC_TAC_TOE.start, 40, lambda s: (None, 0.0))
    ax = tree_map(Figure().add_subplot(), root, depth=2)
    boxes = [text.get_position() for text in ax.texts if "\n" in text.get_text()]
    assert len(set(boxes)) == len(boxes) == 40
