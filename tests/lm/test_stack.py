"""Pre-norm and post-norm stacks have the same parts in another order."""

import pytest
import torch

from llmrl.lm.model import Config, TinyLM, turns
from llmrl.lm.stack import gradient_norms, stack, xavier
from llmrl.lm.training import next_token_loss
from llmrl.seeds import rng

SMALL = Config(vocab=20, width=16, layers=3, heads=2, kv_heads=1, ffn=24, context=16)


def ids():
    return torch.randint(20, (2, 7), generator=rng(0, "ids"))


def test_pre_norm_is_the_model_itself():
    theirs = TinyLM(SMALL, rng(0))
    assert torch.equal(stack(SMALL, "pre", rng(0))(ids()), theirs(ids()))


def test_post_norm_norms_each_sum_and_starts_from_the_same_weights():
    model, other = stack(SMALL, "post", rng(0)), TinyLM(SMALL, rng(0))
    x, turn = model.embed(ids()), turns(torch.arange(7), SMALL)
    for layer in other.layers:
        x = layer.attention_norm(x + layer.attention(x, turn))
        x = layer.ffn_norm(x + layer.ffn(x))
    torch.testing.assert_close(model(ids()), x @ other.embed.weight.T)


def test_a_third_place_is_refused():
    with pytest.raises(ValueError, match='"pre" or "post", got \'between'):
        stack(SMALL, "between")


def test_gradient_norms_are_those_of_backward():
    model = xavier(stack(SMALL, "post", rng(0)), rng(1))
    loss = next_token_loss(model, ids(), torch.ones(2, 7, dtype=torch.bool))
    found = gradient_norms(model, loss)
    next_token_loss(model, ids(), torch.ones(2, 7, dtype=torch.bool)).backward()
    for layer, norm in zip(model.layers, found):
        squares = [p.grad.square().sum() for name, p in layer.named_parameters() if "norm" not in name]
        torch.testing.assert_close(norm, sum(squares).sqrt())


def test_xavier_draws_matrices_of_the_size_it_says():
    wide = Config(vocab=20, width=128, layers=1, heads=2, kv_heads=2, ffn=384)
    layer = xavier(stack(wide, "pre", rng(0)), rng(1)).layers[0]
    assert layer.ffn.up.weight.std().item() == pytest.approx((2 / 512) ** 0.5, rel=0.03)
    assert layer.attention.q.weight.std().item() == pytest.approx((2 / 256) ** 0.5, rel=0.03)
    assert (layer.ffn_norm.weight == 1).all()
