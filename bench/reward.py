"""One step of a reward model on 16 pairs: ours against TRL's RewardTrainer, from ids to new weights."""

from bench.contest import Contest, agree, row
from llmrl.lm.training import adamw, update
from llmrl.preference.train import rendered
from llmrl.rlhf import reward_model, reward_peer
from llmrl.rlhf.reward_losses import pair_losses
from llmrl.toy import preferences

PAIRS, STILL = 16, 0.0  # the learning rate: all the work is done, and both sides go on reading with the same weights


@row("reward.step")
def against_trl(quick):
    """Both are handed the same padded pairs, compute the same loss and take a step along its gradient."""
    rows = preferences.pairs(4 if quick else PAIRS, "bench reward")
    ours = reward_model.shipped().train()
    pairs = [(chosen[0], rejected[0]) for chosen, rejected in rendered(rows)]
    ids, mask = reward_model.padded([pair[side] for side in (0, 1) for pair in pairs])
    trainer = reward_peer.their_trainer(ours, rows, center_rewards_coefficient=0.01)
    trainer.model.train()

    def loss():
        return pair_losses(*reward_model.in_groups(ours, ids, mask).chunk(2), centre=0.01).mean()

    def their_loss():
        return reward_peer.their_loss(trainer, ids, mask)

    agree("the loss", loss().item(), their_loss().item())
    optimizer, theirs = adamw(ours, STILL), adamw(trainer.model, STILL)

    def their_step():
        trainer.accelerator.backward(their_loss())
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), 1.0)
        theirs.step()
        trainer.model.zero_grad()

    what = "forward, loss, backward, AdamW; ours reads rows of like length together"
    note = f"{len(pairs)} pairs padded to {ids.shape[1]} tokens: {what}"
    return Contest(lambda: update(ours, optimizer, loss()), their_step, len(pairs), "pairs/s", 1.2, note)
