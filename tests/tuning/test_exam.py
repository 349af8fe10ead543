"""What a model can do, measured: by hand on answers that are known, and by enumeration."""

import pytest
import torch
from tiny import TALKS, bpe, talker

from llmrl.lm.training import Plan
from llmrl.toy import checkpoints, tasks
from llmrl.tuning import chat, exam, sft


@pytest.fixture
def small_world(monkeypatch):
    """A model and tokenizer that fit together in place of the shipped ones."""
    monkeypatch.setattr(checkpoints, "tokenizer", bpe)
    model = talker()
    list(sft.tune(model, TALKS, Plan(steps=120, lr=1e-2, warmup=5), batch=6, tokenizer=bpe()))
    return model


def test_one_verdict_per_item(small_world):
    items = [tasks.Item("add", "What is 2+3?", "5"), tasks.Item("add", "What is 2+3?", "6"),
             tasks.Item("reverse", "Reverse a b c.", "c b a")]  # fmt: skip
    assert exam.correct(small_world, items, max_new=12) == [1.0, 0.0, 1.0]


def test_divergence_is_the_sum_over_the_answers_tokens_of_the_kl_by_hand(small_world):
    model, reference = small_world, talker()
    found = exam.divergence(model, reference, ["What is 2+3?", "Reverse a b c."], ["5", ""])
    for prompt, said, kl in zip(("What is 2+3?", "Reverse a b c."), ("5", "."), found):
        ids, mask = chat.render(chat.exchange(prompt, said), bpe())
        p, q = (m(torch.tensor([ids])).double().softmax(-1)[0] for m in (model, reference))
        by_hand = sum((p[t - 1] * (p[t - 1] / q[t - 1]).log()).sum() for t in range(len(ids)) if mask[t])
        assert kl == pytest.approx(by_hand.item(), rel=1e-4) and kl > 1
    assert exam.divergence(model, model, ["What is 2+3?"], ["5"]) == [0.0]


@pytest.mark.slow
def test_the_tuned_checkpoint_tells_lands_and_every_answer_has_its_gold_reward():
    prompts, said, gold = exam.told(checkpoints.load("sft"), 0, 8)
    assert len(prompts) == len(said) == len(gold) == 8 and all(isinstance(g, float) for g in gold)
    assert (prompts, said, gold) == exam.told(checkpoints.load("sft"), 0, 8)
