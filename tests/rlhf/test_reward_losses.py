"""A margin and a centre: by hand, by finite differences, and what TRL makes of the same batch (slow)."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from llmrl.rlhf.reward_losses import pair_losses
from llmrl.rlhf.reward_model import bradley_terry

SCORES = torch.tensor([2.0, -1.0, 0.5]), torch.tensor([1.5, 3.0, 0.5])


def test_without_either_it_is_bradley_terry():
    torch.testing.assert_close(pair_losses(*SCORES), bradley_terry(SCORES[0] - SCORES[1]))


@given(st.floats(-3, 3), st.floats(-10, 10))
def test_a_constant_on_both_scores_changes_nothing_unless_centred(margin, shift):
    moved = [score + shift for score in SCORES]
    torch.testing.assert_close(pair_losses(*moved, margin), pair_losses(*SCORES, margin), atol=1e-4, rtol=1e-4)
    wanted = pair_losses(*SCORES, margin) + 0.1 * (sum(SCORES) + 2 * shift) ** 2
    torch.testing.assert_close(pair_losses(*moved, margin, 0.1), wanted, atol=1e-3, rtol=1e-3)


def test_the_gradient_pulls_both_scores_alike_and_by_the_chance_of_being_wrong():
    chosen, rejected = (score.clone().requires_grad_() for score in SCORES)
    pair_losses(chosen, rejected).sum().backward()
    torch.testing.assert_close(chosen.grad, -torch.sigmoid(SCORES[1] - SCORES[0]))
    torch.testing.assert_close(chosen.grad, -rejected.grad)


def test_a_margin_asks_for_a_gap():
    gap, zero = torch.tensor([1.0]), torch.tensor([0.0])
    assert pair_losses(gap, zero, 1.0).item() == pytest.approx(0.6931, abs=1e-4)  # content beyond it only


def test_centring_has_its_least_loss_around_zero():
    chosen, rejected = torch.tensor([4.0], requires_grad=True), torch.tensor([3.0], requires_grad=True)
    optimizer = torch.optim.SGD([chosen, rejected], lr=0.5)
    for _ in range(200):
        optimizer.zero_grad()
        pair_losses(chosen, rejected, 0.0, 0.1).sum().backward()
        optimizer.step()
    assert abs(chosen.item() + rejected.item()) < 1e-3 and chosen > rejected


@pytest.mark.parametrize("shapes", [((3,), (2,)), ((3, 1), (3, 1)), ((3,), (3, 1))])
def test_scores_of_another_shape(shapes):
    with pytest.raises(ValueError, match="squeeze the head's last dimension"):
        pair_losses(*map(torch.zeros, shapes))


def test_a_price_below_zero():
    with pytest.raises(ValueError, match="centre must be at least 0"):
        pair_losses(*SCORES, centre=-0.1)


@pytest.mark.slow
@pytest.mark.parametrize("centre", [None, 0.05])
@pytest.mark.parametrize("wanted", [None, [0.0, 0.5, 2.0]])
def test_trl_computes_the_same(centre, wanted):
    from llmrl.preference.train import rendered
    from llmrl.rlhf import reward_model, reward_peer
    from llmrl.toy import preferences

    rows, model = preferences.pairs(3, "trl"), reward_model.shipped()
    pairs = rendered(rows)
    ids, mask = reward_model.padded([pair[side][0] for side in (0, 1) for pair in pairs])
    margin = None if wanted is None else torch.tensor(wanted)
    trainer = reward_peer.their_trainer(model, rows, center_rewards_coefficient=centre)
    ours = pair_losses(*model(ids, mask).chunk(2), 0.0 if margin is None else margin, centre or 0.0).mean()
    assert reward_peer.their_loss(trainer, ids, mask, margin).item() == pytest.approx(ours.item(), abs=1e-5)
