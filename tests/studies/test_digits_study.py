"""The study of digits: four tokenizers from one training run, and the shipped models against what was recorded."""

import pytest
import torch

from llmrl.lm.digits import parts
from llmrl.studies import digits
from llmrl.toy import files


def test_four_tokenizers_are_beginnings_of_one():
    for merges in digits.MERGES:
        tokenizer = digits.tokenizer(merges)
        assert tokenizer.merges == digits.learned().merges[:merges]
        assert len(tokenizer.tokens) == digits.size(merges).vocab
    assert [sum(len(parts(digits.tokenizer(m), n)) == 1 for n in range(10, 100)) for m in digits.MERGES] == [
        0,
        40,
        90,
        90,
    ]


def test_every_sum_once_and_none_read_that_is_asked():
    assert sorted(digits.sums()) == [(a, b) for a in range(100) for b in range(100)]
    assert not set(digits.sums()[: digits.READ]) & set(digits.sums()[digits.READ : digits.READ + digits.ASKED])


@pytest.mark.parametrize("merges", digits.MERGES)
def test_only_the_result_and_the_end_are_learned(merges):
    tokenizer = digits.tokenizer(merges)
    ids, mask = digits.sample(tokenizer, 47, 85)
    assert tokenizer.decode(ids, special=False) == "47+85=132" and ids[0] == ids[-1] == tokenizer.eos_id
    assert tokenizer.decode([i for i, learned in zip(ids, mask) if learned], special=False) == "132"


@pytest.mark.parametrize("merges", digits.SHIPPED)
def test_a_shipped_model_does_as_recorded(merges):
    recorded = files.read_json("studies/digits.json")[str(merges)]
    assert len(recorded) == digits.SEEDS and all(len(run["unread"]) == 6 for run in recorded)
    asked = digits.sums()[digits.READ : digits.READ + digits.ASKED]
    again = digits.share(digits.right(digits.model(merges), digits.tokenizer(merges), asked))
    assert again == pytest.approx(recorded[0]["unread"][-1], abs=0.01)  # its weights were rounded to 16 bits


def test_a_model_that_knows_nothing_is_not_right():
    model = digits.TinyLM(digits.size(0), torch.Generator().manual_seed(0))
    assert digits.share(digits.right(model, digits.tokenizer(0), digits.sums()[:50])) == 0
