"""What people do by mistake, and every kind of number: a clear error or a right answer from each part of tuning."""

import copy

import pytest
import torch
from family import draw, linear, lively_adapter
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny import TALKS, bpe, talker

from llmrl.lm.training import Plan, pad
from llmrl.tuning import accumulation, exam, noise, packing, sft
from llmrl.tuning.adalora import SVDLinear
from llmrl.tuning.dora import DoRALinear
from llmrl.tuning.lora import ALL, LoRALinear, adapt, adapters, merge, unload, unmerge
from llmrl.tuning.pissa import PiSSALinear

KINDS = (LoRALinear, DoRALinear, PiSSALinear, SVDLinear)
CLOSE = {torch.float64: 1e-9, torch.float32: 1e-4, torch.bfloat16: 0.2}
IDS, MASK = (pad(rows, fill) for rows, fill in zip(zip(*sft.samples(TALKS, bpe())), (0, False)))


def adapter(kind, plain, rank=2):
    """An adapter of a kind in the middle of training."""
    layer = lively_adapter(kind(plain, rank, 3.0))
    if kind is SVDLinear:
        with torch.no_grad():
            layer.E += 0.5
    return layer


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(KINDS), st.sampled_from(list(CLOSE)), st.booleans(), st.sampled_from([(), (1,), (0,), (2, 3)]))
def test_every_adapter_keeps_shape_and_dtype_and_merges_to_what_it_was(kind, dtype, bias, batch):
    layer, x = adapter(kind, linear(6, 5, bias).to(dtype)), draw(*batch, 6).to(dtype)
    y = layer(x)
    assert y.shape == (*batch, 5) and y.dtype == dtype
    assert all(p.dtype == dtype for p in layer.parameters()) and layer.delta().shape == (5, 6)
    torch.testing.assert_close(merge(layer)(x), y, atol=CLOSE[dtype], rtol=CLOSE[dtype])
    torch.testing.assert_close(unmerge(layer)(x), y, atol=CLOSE[dtype], rtol=CLOSE[dtype])


@pytest.mark.parametrize("kind", KINDS)
def test_one_number_in_and_one_out(kind):
    layer = adapter(kind, linear(1, 1), rank=1)
    torch.testing.assert_close(layer(draw(4, 1)), draw(4, 1) * (layer.linear.weight + layer.delta()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_of_adapters_trains_merges_and_becomes_plain_again(kind):
    model = adapt(talker(), ALL, lambda plain: kind(plain, 2, 2.0))
    frozen = {name: layer.linear.weight.clone() for name, layer in adapters(model).items()}
    first, *_, last = sft.tune(model, TALKS, Plan(steps=10, lr=3e-2, warmup=2), batch=3, tokenizer=bpe())
    assert last["loss"] < first["loss"] - 0.1
    assert all(torch.equal(layer.linear.weight, frozen[name]) for name, layer in adapters(model).items())
    logits = model(IDS)
    torch.testing.assert_close(unload(model)(IDS), logits, atol=1e-3, rtol=1e-4)
    assert model.state_dict().keys() == talker().state_dict().keys()


@pytest.mark.parametrize("kind", KINDS)
def test_a_broken_adapter_is_not_merged(kind):
    model = adapt(talker(), ALL, lambda plain: kind(plain, 2, 2.0))
    with torch.no_grad():
        model.layers[1].ffn.up.A[0, 0] = torch.nan
    weights = [layer.linear.weight.clone() for layer in adapters(model).values()]
    for way in (merge, unload):
        with pytest.raises(ValueError, match="layers.1.ffn.up has learned nan or inf, and merging would leave nothing"):
            way(model)
    assert all(torch.equal(layer.linear.weight, w) for layer, w in zip(adapters(model).values(), weights))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("turn", [unmerge, lambda model: merge(merge(model))])
def test_merging_in_the_wrong_order(kind, turn):
    with pytest.raises(ValueError, match="layers.0.attention.q is (not merged|merged already)"):
        turn(adapt(talker(), ALL, lambda plain: kind(plain, 2, 2.0)))


@pytest.mark.parametrize("kind", KINDS)
def test_a_merged_adapter_is_not_trained(kind):
    model = merge(adapt(talker(), ALL, lambda plain: kind(plain, 2, 2.0)))
    with pytest.raises(ValueError, match=r"a merged adapter has no gradient .*: unmerge\(model\) before training"):
        next(sft.tune(model, TALKS, Plan(steps=1), batch=2, tokenizer=bpe()))
    next(sft.tune(unmerge(model), TALKS, Plan(steps=1), batch=2, tokenizer=bpe()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_rank_that_one_matrix_does_not_have_leaves_the_model_as_it_was(kind):
    model = talker()
    with pytest.raises(ValueError, match=r"rank must be a whole number from 1 to 12 for a matrix of shape \(12, 24\)"):
        adapt(model, ALL, lambda plain: kind(plain, 13, 2.0))
    assert torch.equal(model(IDS), talker()(IDS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "alpha"), [(0, 1.0), (6, 1.0), (1.5, 1.0), (True, 1.0), (2, 0), (2, -1.0), (2, "a")])
def test_sizes_that_cannot_be(kind, rank, alpha):
    with pytest.raises(ValueError, match="(rank|alpha) must be a"):
        kind(linear(6, 5), rank, alpha)


def test_pissa_leaves_the_matrix_it_was_given_alone():
    plain = linear()
    before = copy.deepcopy(plain.weight)
    layer = PiSSALinear(plain, 3, 3.0)
    assert torch.equal(plain.weight, before) and not torch.equal(layer.linear.weight, before)


def test_no_micro_batches():
    with pytest.raises(ValueError, match="there is no micro-batch to go through the model"):
        accumulation.accumulate(talker(), [])


def test_no_samples_to_take_gradients_of():
    with pytest.raises(ValueError, match="there are no samples whose gradients could be taken"):
        noise.sample_gradients(talker(), [])


@pytest.mark.parametrize("lengths", [[3, 9], [0, 3], [-1]])
def test_texts_that_no_row_holds(lengths):
    with pytest.raises(ValueError, match="lengths must be from 1 to the room of 8, got"):
        packing.best_fit(lengths, 8)
    assert packing.best_fit([], 8) == []


def test_prompts_without_their_answers():
    with pytest.raises(ValueError, match="every prompt needs one answer, got 2 prompts and 1 answers"):
        exam.divergence(talker(), talker(), ["What is 2+3?", "Reverse a b."], ["5"])


def test_a_prompt_longer_than_the_context():
    with pytest.raises(ValueError, match="context of 96"):
        sft.answers(talker(), ["2 " * 200], tokenizer=bpe())


@pytest.mark.parametrize("masked", [[], ["id"]])
def test_an_answer_that_was_cut_off_is_named(masked):
    """A conversation cut before its answer marks nothing to learn."""
    ids, mask = sft.samples(TALKS[:1], bpe())[0]
    with pytest.raises(ValueError, match="marks no token with another before it"):
        sft.learned_loss(talker(), torch.tensor([ids[:6]]), torch.tensor([mask[:6]]))
    with pytest.raises(ValueError, match="sample 0 must have a mask .* leave it out"):
        packing.pack([ids[:6]], 20, [mask[:6]] if masked else [mask[:5]])


def test_a_loss_of_nan_stops_before_the_weights():
    model = adapt(talker(), ALL, lambda plain: LoRALinear(plain, 2, 2.0))
    before = copy.deepcopy(model.state_dict())
    with torch.no_grad():
        model.embed.weight[bpe().im_start_id] = torch.nan
    with pytest.raises(FloatingPointError, match="the weights were left as they are, look at the batch for nan"):
        list(sft.tune(model, TALKS, Plan(steps=1), batch=2, tokenizer=bpe()))
    after = model.state_dict()
    assert all(torch.equal(after[name], before[name]) for name in before if "embed" not in name)
