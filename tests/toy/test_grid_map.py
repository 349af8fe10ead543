"""A grid's picture shows every value where it belongs, and an arrow for every action that is taken."""

import numpy as np
import pytest
from matplotlib import pyplot as plt

from llmrl.toy.environments import LAKE
from llmrl.toy.grid_map import grid_map


def test_values_names_and_arrows_stand_in_their_cells():
    values, policy = np.arange(16) / 16, np.tile([0.5, 0.0, 0.5, 0.0], (16, 1))
    fig, ax = plt.subplots()
    grid_map(ax, LAKE, values, policy)
    said = {(round(t.get_position()[0]), round(t.get_position()[1])): t.get_text() for t in ax.texts if t.get_text()}
    assert said[2, 1] == f"{values[6]:.2f}" and said[3, 3] == "goal" and said[1, 1] == "hole"
    assert len(ax.texts) == 16 and len(ax.collections) == 11  # holes and the goal have no arrows
    first = ax.collections[0]
    assert first.U.tolist() == [-0.22, 0.22] and first.V.tolist() == [0, 0], "left, then right"
    plt.close(fig)


def test_a_wrong_number_of_values_is_named():
    with pytest.raises(ValueError, match=r"a grid of 4 x 4 needs 16 values, got \(15,\)"):
        grid_map(None, LAKE, np.zeros(15))
