"""One step of GRPO on 8 prompts with 8 answers: ours against TRL's GRPOTrainer, from sampling to the new weights."""

from bench.contest import Contest, agree, row
from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import adamw
from llmrl.policy import group, group_peer
from llmrl.policy.surrogate import GRPO, averaged, surrogate
from llmrl.toy import checkpoints, tasks
from llmrl.tuning import chat

PROMPTS, ANSWERS = 8, 8
STILL = 0.0  # the learning rate: all the work is done, and both sides go on drawing from the same model


def judged(text):
    """A reward in which answers differ."""
    return float(sum(map(ord, text)) % 7)


def agree_on_the_loss(model, asked, limit):
    """A run of its own of two steps on one batch: the second has ratios other than 1."""
    trainer = group_peer.their_trainer(
        model, asked[:2], judged, loss_type="grpo", num_generations=4, num_iterations=2, max_steps=2,
        max_completion_length=limit, learning_rate=1e-3,
    )  # fmt: skip
    for step, (inputs, weights, theirs) in enumerate(group_peer.watched(trainer)):
        ids, mask, old_logp = group_peer.as_rows(inputs)
        told = mask[:, 1:]
        objective = surrogate(token_logp(weights(ids), ids), old_logp, inputs["advantages"], told)
        agree(f"the loss of step {step}", -averaged(objective, told, GRPO).item(), theirs)


def their_step(model, asked, limit):
    """A function that lets TRL's trainer sample, judge and learn once, without its loader and callbacks."""
    trainer = group_peer.their_trainer(
        model, asked, judged, loss_type="grpo", num_generations=ANSWERS, max_completion_length=limit,
        per_device_train_batch_size=len(asked) * ANSWERS,
    )  # fmt: skip
    trainer.current_gradient_accumulation_steps = 1  # set by the loop that is left out
    optimizer = adamw(trainer.model, STILL)
    rows = [{"prompt": messages} for messages in asked for _ in range(ANSWERS)]
    trainer.model.train()

    def step():
        trainer._buffered_inputs = None
        inputs = trainer._prepare_inputs(rows)
        loss = trainer.compute_loss(trainer.model, inputs)
        trainer.accelerator.backward(loss)
        trainer.accelerator.clip_grad_norm_(trainer.model.parameters(), 1.0)
        optimizer.step()
        trainer.model.zero_grad()
        return inputs["completion_mask"].sum(1).float().mean().item()

    return step


@row("group.step")
def against_trl(quick):
    """Both draw answers to sums from the same model, most of them short and some long, and learn from all of them."""
    model, limit = checkpoints.load("reasoning_base"), 8 if quick else 48
    asked = [item.messages()[:1] for item in tasks.items("add", 2 if quick else PROMPTS, "bench", digits=3)]
    agree_on_the_loss(model, asked, limit)
    plan = group.GroupPlan(10**9, len(asked), ANSWERS, limit, STILL, pieces=4)
    prompts, judge = [chat.prompt_ids(m) for m in asked], lambda said: [[float(sum(a) % 7) for a in g] for g in said]
    steps, theirs = group.train(model, lambda step: (prompts, judge), plan), their_step(model, asked, limit)
    lengths = [[next(steps)["length"] for _ in range(8)], [theirs() for _ in range(8)]]
    agree("the mean length of eight batches, within a third", 0.75 < sum(lengths[0]) / sum(lengths[1]) < 1.33, True)
    note = "sampling, rewards, loss and update; ours leaves out rows that are done and reads like lengths together"
    return Contest(lambda: next(steps), theirs, len(prompts) * ANSWERS, "answers/s", 2.0, note)
