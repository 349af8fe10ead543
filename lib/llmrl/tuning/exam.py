"""What a tuned model can do: questions with a verifier, open questions with a gold reward, and how far it has moved.

Everything that is tuned in the course is measured by these three, before and after, with one number per question, so
that a difference comes with its error. Left out: judges that are models themselves.
"""

from statistics import mean

import torch

from llmrl import seeds
from llmrl.lm.generation import Sampling
from llmrl.rlhf import kl
from llmrl.toy import preferences, tasks, telling
from llmrl.tuning import chat, sft


def correct(model, items, sampling=Sampling(), seed=0, max_new=48):
    """1.0 or 0.0 for each item."""
    said = sft.answers(model, [i.prompt for i in items], max_new, sampling, seeds.rng(seed, "eval"))
    return [float(tasks.verify(item, answer)) for item, answer in zip(items, said)]


def by_task(items, right):
    """The share of right answers, task by task."""
    return {task: mean(ok for item, ok in zip(items, right) if item.task == task)
            for task in dict.fromkeys(item.task for item in items)}  # fmt: skip


def told(model, seed, n=256, max_new=112):
    """What a model tells of n lands when it samples: prompts, answers, and the gold reward of each."""
    prompts = [messages[0]["content"] for messages in telling.conversations(n, f"{seed} told")]
    said = sft.answers(model, prompts, max_new, Sampling(temperature=1.0), seeds.rng(seed, "told"))
    return prompts, said, [preferences.gold(p, a) for p, a in zip(prompts, said)]


def talk(prompt, said):
    """What was said as a conversation; silence becomes a full stop, since an answer has to say something."""
    return chat.exchange(prompt, said.strip() or ".")


@torch.no_grad()
def divergence(model, reference, prompts, said):
    r"""KL(model || reference) of whole answers, summed over tokens exactly, per answer the model gave."""
    if len(prompts) != len(said):
        raise ValueError(f"every prompt needs one answer, got {len(prompts)} prompts and {len(said)} answers")
    found = []
    for prompt, answer in zip(prompts, said):
        ids, mask = (torch.tensor([x]) for x in chat.render(talk(prompt, answer)))
        found.append(kl.exact(model(ids), reference(ids))[:, :-1][mask[:, 1:]].sum().item())
    return found
