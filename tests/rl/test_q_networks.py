"""The stack against torch's own layers, the two shapes against one another, files against what was saved."""

import numpy as np
import pytest
import torch
from torch import nn

from llmrl.rl.q_networks import QNetwork, alone, ask_all, load, save
from llmrl.seeds import rng


def stack(learners=3, sizes=(4, 8, 6, 2)):
    return QNetwork(sizes, learners, rng(0, "weights"))


def plain(network, learner):
    """The same learner as torch would write it."""
    layers = []
    for layer in network.layers:
        linear = nn.Linear(*layer.weight.shape[1:])
        with torch.no_grad():
            linear.weight.copy_(layer.weight[learner].T)
            linear.bias.copy_(layer.bias[learner, 0])
        layers += [linear, nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def test_every_learner_computes_what_torchs_layers_compute():
    network, states = stack(), torch.randn(3, 5, 4, generator=rng(0, "states"))
    for n in range(3):
        torch.testing.assert_close(network(states)[n], plain(network, n)(states[n]))
        torch.testing.assert_close(alone(network, n)(states[n : n + 1]), network(states)[n : n + 1])


def test_all_values_are_the_answers_to_one_question_each():
    weights = torch.randn(5, generator=rng(0, "linear"))
    states = torch.randn(4, 2, generator=rng(0, "states"))
    found = ask_all(lambda pairs: (pairs @ weights).tanh(), states, 3)
    for b, a in np.ndindex(4, 3):
        pair = torch.cat([states[b], torch.eye(3)[a]])
        torch.testing.assert_close(found[b, a], (pair @ weights).tanh())


def test_a_saved_network_comes_back(tmp_path):
    network, states = stack(), torch.randn(3, 5, 4)
    save(network, tmp_path / "q.safetensors")
    again = load(tmp_path / "q.safetensors")
    assert again.sizes == network.sizes and torch.equal(again(states), network(states))


def test_what_is_no_saved_network_is_said(tmp_path):
    from safetensors.torch import save_file

    (tmp_path / "broken").write_bytes(b"not a file of weights")
    with pytest.raises(ValueError, match="is no safetensors file"):
        load(tmp_path / "broken")
    save_file({"x": torch.zeros(1)}, tmp_path / "other")
    with pytest.raises(ValueError, match="does not say its sizes"):
        load(tmp_path / "other")


def test_sizes_are_refused_when_there_is_no_way_through():
    with pytest.raises(ValueError, match="sizes must name inputs and outputs"):
        QNetwork((4,))
    with pytest.raises(ValueError, match="one or more"):
        QNetwork((4, 0, 2))
