"""Verifiable rewards: questions with a rule that judges the answer, ready for reinforcement learning.

Where the rule is exact nobody has to be asked and nothing has to be learned before training starts. Left out so far:
rewards for form and length.
"""

from llmrl.toy import checkpoints, tasks
from llmrl.tuning import chat


def game(items_at, reward=tasks.verify, tokenizer=None):
    """The `ask` of policy.group.train: items_at(step) -> items; reward(item, text) judges each answer."""
    tokenizer = tokenizer or checkpoints.tokenizer()

    def ask(step):
        items = items_at(step)

        def judge(answers):
            return [[float(reward(item, tokenizer.decode(a))) for a in group] for item, group in zip(items, answers)]

        return [chat.prompt_ids(item.messages()[:1], tokenizer) for item in items], judge

    return ask
