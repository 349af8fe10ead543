"""There is more than one right way to write top-p, and the grader takes them all."""

import pytest
import torch
from torch.nn.functional import pad

from llmrl.lesson.exercise import find
from llmrl.lesson.grading import judge


def subtracted(logits, p):
    best, order = logits.softmax(-1).sort(dim=-1, descending=True)
    return logits.masked_fill((best.cumsum(-1) - best >= p).gather(-1, order.argsort(-1)), -torch.inf)


def shifted(logits, p):
    best, order = logits.softmax(-1).sort(dim=-1, descending=True)
    before = pad(best.cumsum(-1)[..., :-1], (1, 0))
    return logits.masked_fill((before >= p).gather(-1, order.argsort(-1)), -torch.inf)


def one_by_one(logits, p):
    """The definition, row by row: take the best until the sum reaches p."""
    out = torch.full_like(logits, -torch.inf)
    for row, scores in enumerate(logits):
        reached = 0.0
        for token in scores.argsort(descending=True).tolist():
            if reached < p:
                out[row, token] = scores[token]
            reached += scores.double().softmax(-1)[token].item()
    return out


@pytest.mark.parametrize("answer", [subtracted, shifted, one_by_one])
def test_every_right_way_to_write_top_p_is_accepted(answer):
    assert judge(find("lm.top_p_filter"), answer).kind == "right"
