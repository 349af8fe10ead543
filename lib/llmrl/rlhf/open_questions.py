"""Fresh questions about lands, and a reward model that judges what is told: a step of RLHF begins with these.

The policy is asked a question and never sees the reward model; the reward model reads question and answer as one
conversation and gives it one number. Left out: questions that come back, which a fixed set of prompts would have.

Shapes: P prompts, G answers each.
"""

from llmrl.rlhf.reward_model import rated
from llmrl.toy import checkpoints, telling
from llmrl.tuning import chat


def judged_by(judge, prompts, label):
    """The `ask` of a training: ask(step) -> `prompts` new questions as ids, and a judge of P lists of G answers."""
    tokens = checkpoints.tokenizer()

    def ask(step):
        talks = [messages[:1] for messages in telling.conversations(prompts, f"{label} {step}")]

        def scores(answers):
            told = [(asked[0]["content"], tokens.decode(answer))
                    for asked, given in zip(talks, answers) for answer in given]  # fmt: skip
            return rated(judge, *zip(*told)).view(len(answers), -1).tolist()

        return [chat.prompt_ids(messages) for messages in talks], scores

    return ask
