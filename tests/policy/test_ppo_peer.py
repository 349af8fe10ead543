"""One update beside stable-baselines3's PPO: the same weights, the same items, the same weights afterwards."""

from dataclasses import replace

import pytest
import torch

from llmrl.policy import peer, ppo, ppo_peer
from llmrl.policy.networks import ActorCritic, orthogonal_
from llmrl.policy.rollout import collect, fresh_start
from llmrl.seeds import rng
from llmrl.toy.cart_pole import SCALE, cart_poles

pytestmark = pytest.mark.slow


def moved_on():
    """A network, and a buffer that an older version of it played: live items only, ratios other than one."""
    network = orthogonal_(ActorCritic(4, 2, generator=rng(0, "w")), rng(0, "o"))
    envs = cart_poles(8, limit=15)
    rollout = collect(envs, network, fresh_start(envs, 0), 64, rng(0, "a"))
    full = ppo.prepare(rollout, ppo.Config(), ppo.Details())
    full = full.at(full.live[0].nonzero().T[:, :256])  # as many as theirs expects
    with torch.no_grad():
        for p in network.parameters():
            p.add_(0.1 * torch.randn(p.shape, generator=rng(0, "moved", *p.shape)))
    return network, full


@pytest.mark.parametrize("details", [ppo.Details(), ppo.Details(normalise=False, longest=1e9)])
def test_an_update_is_theirs(details):
    network, full = moved_on()
    config = ppo.Config(batch=full.adv.shape[1], epochs=1, entropy=0.01)
    model = ppo_peer.their_ppo(ppo_peer.their_carts(2, 0, SCALE), config, 0, replace(details, anneal=False))
    peer.to_sb3(network, model.policy)
    peer.their_update(
        model, full.states[0], full.actions[0], full.adv[0], full.ret[0], full.old_logp[0], full.old_values[0]
    )
    optimizer = torch.optim.Adam(network.parameters(), lr=config.lr, eps=1e-5)
    start = [p.detach().clone() for p in network.parameters()]
    seen = ppo.learn(network, optimizer, full, config, details, rng(0, "order"))
    assert seen["clipped"].item() > 0.02
    for ours, theirs, before in zip(network.parameters(), peer.from_sb3(model.policy).parameters(), start):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
        assert (ours - before).abs().max() > 5e-4
    log = model.logger.name_to_value
    assert log["train/approx_kl"] == pytest.approx(seen["k3"].item(), abs=1e-6)
    assert log["train/clip_fraction"] == pytest.approx(seen["clipped"].item(), abs=1e-6)


@pytest.mark.parametrize("enough, wanted", [(2, [128, 256]), (9, [128, 256, 384])])
def test_theirs_is_looked_at_after_every_buffer_and_stops_when_told(enough, wanted):
    seen, config = [], ppo.Config(steps=384, horizon=16, batch=64, epochs=1)
    model = ppo_peer.their_ppo(ppo_peer.their_carts(8, 0, SCALE), config, 0)
    ppo_peer.learn(model, config.steps, lambda step: seen.append(step) or len(seen) == enough)
    assert seen == wanted
