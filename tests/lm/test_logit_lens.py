"""The logit lens against models that really stop early."""

import dataclasses

import torch
from lively import SMALL, lively, some_ids

from llmrl.lm.logit_lens import lens
from llmrl.lm.model import TinyLM


def test_each_reading_is_the_output_of_a_model_with_that_many_layers():
    model, ids = lively(dataclasses.replace(SMALL, layers=3)), some_ids()
    read = lens(model.residuals(ids), model.norm, model.embed.weight)
    for depth in (1, 2, 3):
        short = TinyLM(dataclasses.replace(SMALL, layers=depth))
        short.load_state_dict({name: w for name, w in model.state_dict().items() if name in short.state_dict()})
        torch.testing.assert_close(read[depth], short(ids))


def test_the_last_reading_is_the_model_and_the_first_saw_no_layer():
    model, ids = lively(), some_ids()
    read = lens(model.residuals(ids), model.norm, model.embed.weight)
    torch.testing.assert_close(read[-1], model(ids))
    torch.testing.assert_close(read[0], model.unembed(model.norm(model.embed(ids))))
    assert read.shape == (3, 3, 11, 40)


def test_a_wrong_reading_is_another_one():
    """Without the norm, or normed twice, as whoever reads transformers' last hidden state once more."""
    model, ids = lively(), some_ids()
    streams, E = model.residuals(ids), model.embed.weight
    right = lens(streams, model.norm, E)
    for wrong in (lens(streams, lambda x: x, E), lens(model.norm(streams), model.norm, E)):
        assert (wrong - right).abs().max() > 0.1
