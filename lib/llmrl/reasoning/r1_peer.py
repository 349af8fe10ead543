"""R1-Zero with TRL's GRPOTrainer: the same model, prompts, rule and settings as ours, its own sampling and loop.

Left out: what TRL has and this task does not need, a reference model, vLLM, tools.
"""

import warnings

from llmrl.policy import group_peer
from llmrl.reasoning import verifiable
from llmrl.toy import tasks


def verdict(text, question, answer):
    """The rule as TRL calls it: the text of an answer, and the columns of its row."""
    return verifiable.accuracy(tasks.Item("add", question, answer), text)


def trainer(model, items_at, plan, seed=0, **options):
    """Their trainer on items_at(0), items_at(1), ... with our settings: bnpo is an average over all tokens."""
    items = [item for step in range(plan.steps) for item in items_at(step)]
    rows = [{"prompt": i.messages()[:1], "question": i.prompt, "answer": i.answer} for i in items]
    settings = {
        "loss_type": "bnpo", "num_generations": plan.answers, "max_completion_length": plan.max_new,
        "per_device_train_batch_size": plan.prompts * plan.answers, "max_steps": plan.steps, "shuffle_dataset": False,
        "learning_rate": plan.lr, "lr_scheduler_type": "constant", "weight_decay": 0.0, "adam_beta2": 0.95,
        "logging_strategy": "steps", "logging_steps": 1, "seed": seed,
    }  # fmt: skip
    return group_peer.their_trainer(model, rows, verdict, **settings | options)


def records(trainer):
    """Let it run.  -> a record per step: reward, length"""
    with warnings.catch_warnings():  # transformers asks for a setting by its old name
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)
        trainer.train()
    lines = [line for line in trainer.state.log_history if "reward" in line]
    return [{"step": i, "reward": line["reward"], "length": line["completions/mean_length"]}
            for i, line in enumerate(lines)]  # fmt: skip
