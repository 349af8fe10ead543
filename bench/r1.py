"""R1-Zero on three-digit sums until four steps in a row are 95 percent right on average: ours and TRL's GRPOTrainer."""

from dataclasses import replace
from functools import partial
from itertools import count

from bench.contest import Contest, agree, row
from llmrl.lm.logprobs import token_logp
from llmrl.policy import group_peer
from llmrl.policy.surrogate import averaged, surrogate
from llmrl.reasoning import r1, r1_peer, verifiable
from llmrl.toy import checkpoints

GOAL, LAST, MOST = 0.95, 4, 120  # mean of the last steps; a run that takes more steps than that counts for nothing


def three(seed, prompts, step):
    return verifiable.sums(prompts, (3, 3), f"bench R1 {seed} {step}")


def agree_on_the_loss(model):
    """Two of its steps on one batch: the second has ratios other than 1."""
    plan = replace(r1.ZERO, steps=2, prompts=2, answers=4)
    trainer = r1_peer.trainer(model, partial(three, "agree", 2), plan, num_iterations=2)
    for step, (inputs, weights, theirs) in enumerate(group_peer.watched(trainer)):
        ids, mask, old_logp = group_peer.as_rows(inputs)
        objective = surrogate(token_logp(weights(ids), ids), old_logp, inputs["advantages"], mask[:, 1:], r1.TOKENS)
        agree(f"the loss of step {step}", -averaged(objective, mask[:, 1:], r1.TOKENS).item(), theirs)


def there(rewards, most):
    """Whether a run has arrived; an error where it has had all its steps."""
    if len(rewards) >= LAST and sum(rewards[-LAST:]) / LAST >= GOAL:
        return True
    if len(rewards) >= most:
        raise ValueError(f"{most} steps did not reach {GOAL}, the last rewards are {rewards[-LAST:]}: raise MOST")
    return False


def our_run(plan, seed):
    """Train until it is there.  -> how many steps that took"""
    model, rewards = checkpoints.load("reasoning_base"), []
    for record in r1.reinforce(model, partial(three, seed, plan.prompts), plan=plan, seed=seed):
        rewards.append(record["reward"])
        if there(rewards, plan.steps):
            return len(rewards)


def their_run(plan, seed):
    """The same by their trainer, which a callback stops."""
    from transformers import TrainerCallback

    class Stop(TrainerCallback):
        def on_log(self, args, state, control, **rest):
            rewards = [line["reward"] for line in state.log_history if "reward" in line]
            control.should_training_stop = control.should_training_stop or there(rewards, plan.steps)

    trainer = r1_peer.trainer(checkpoints.load("reasoning_base"), partial(three, seed, plan.prompts), plan, seed)
    trainer.add_callback(Stop())
    return len(r1_peer.records(trainer))


def few_steps(run, plan, seed):
    """For a quick look: what a run of the first steps takes, wherever it got to."""
    try:
        return run(plan, seed)
    except ValueError:
        return plan.steps


@row("r1.zero", threads=(1,))
def against_trl(quick):
    """Each call is a whole run on prompts of its own, from the loaded base to 95 percent."""
    agree_on_the_loss(checkpoints.load("reasoning_base"))
    plan, seeds = replace(r1.ZERO, steps=2 if quick else MOST, prompts=4 if quick else 16), (count(), count())
    once = few_steps if quick else (lambda run, plan, seed: run(plan, seed))
    note = "whole runs of 16 prompts with 8 answers a step until four steps in a row average 95 percent right"
    return Contest(lambda: once(our_run, plan, next(seeds[0])), lambda: once(their_run, plan, next(seeds[1])),
                   3600, "runs/hour", 2.0, note)  # fmt: skip
