"""Distillation: the loss against torch's own, its scale in the temperature, and a student that arrives."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lm.lively import SMALL, lively, some_ids

from llmrl.lm.model import TinyLM
from llmrl.lm.training import Plan, train
from llmrl.reasoning.distill import soft_label_kl, soft_loss
from llmrl.rlhf import kl
from llmrl.seeds import rng


def two(*shape, dtype=torch.float64):
    return (torch.randn(*shape, generator=rng(0, who), dtype=dtype) for who in ("student", "teacher"))


@given(st.floats(0.2, 20))
def test_it_is_torchs_kl_divergence_times_the_temperature_squared(temperature):
    student, teacher = two(2, 3, 7)
    logp, teacher_logp = (x.div(temperature).log_softmax(-1) for x in (student, teacher))
    theirs = torch.nn.functional.kl_div(logp, teacher_logp, reduction="none", log_target=True).sum(-1)
    found = soft_label_kl(student, teacher, temperature)
    torch.testing.assert_close(found, temperature**2 * theirs)
    assert found.shape == (2, 3)


def test_the_teacher_comes_first_in_the_divergence():
    student, teacher = two(2, 3, 7)
    assert not torch.allclose(soft_label_kl(student, teacher), kl.exact(student, teacher), atol=1e-2)
    torch.testing.assert_close(soft_label_kl(teacher, teacher), torch.zeros(2, 3, dtype=torch.float64))


def slope(temperature):
    student, teacher = two(7)
    student.requires_grad_()
    return torch.autograd.grad(soft_label_kl(student, teacher, temperature), student)[0]


def test_the_gradient_keeps_its_scale_when_the_temperature_rises():
    """At high temperatures it becomes the difference of centred scores over V: that is what tau squared is for."""
    student, teacher = two(7)
    limit = ((student - student.mean()) - (teacher - teacher.mean())) / 7
    torch.testing.assert_close(slope(1e4), limit, atol=1e-3, rtol=1e-3)
    assert 0.3 < slope(8.0).norm() / slope(1.0).norm() < 3
    assert (slope(8.0) / 8**2).norm() / slope(1.0).norm() < 0.05  # without the factor almost nothing is left


def test_a_hard_label_is_the_cross_entropy():
    student, _ = two(5, 7)
    label = torch.arange(5)
    hard = torch.full((5, 7), -1e9, dtype=torch.float64).scatter(1, label[:, None], 0.0)
    expected = torch.nn.functional.cross_entropy(student, label, reduction="none")
    torch.testing.assert_close(soft_label_kl(student, hard), expected)


def test_the_loss_of_a_batch_is_a_mean_over_the_marked_tokens():
    teacher, student, ids = lively(seed=1), lively(), some_ids()
    mask = torch.rand(ids.shape, generator=rng(1)) < 0.4
    each = soft_label_kl(student(ids), teacher(ids), 2.0)
    by_hand = [each[b, t - 1] for b in range(3) for t in range(1, 11) if mask[b, t]]
    torch.testing.assert_close(soft_loss(teacher, 2.0)(student, ids, mask), torch.stack(by_hand).mean())


def test_the_teacher_does_not_learn():
    teacher, student, ids = lively(seed=1), lively(), some_ids()
    soft_loss(teacher)(student, ids, ids >= 0).backward()
    assert all(p.grad is None for p in teacher.parameters())
    assert all(p.grad is not None for p in student.parameters())


def test_a_student_arrives_at_its_teacher():
    teacher, student = lively(seed=1), TinyLM(SMALL, rng(0, "student"))
    batch = lambda step: (some_ids(8, 6, seed=step % 2), torch.ones(8, 6, dtype=torch.bool))  # noqa: E731
    plan = Plan(steps=120, lr=2e-2, warmup=5, weight_decay=0.0)
    records = list(train(student, batch, plan, loss=soft_loss(teacher)))
    assert records[-1]["loss"] < 0.02 < 0.4 < records[0]["loss"]
    ids, _ = batch(0)
    assert (student(ids)[:, :-1].softmax(-1) - teacher(ids)[:, :-1].softmax(-1)).abs().mean() < 0.01


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_none(temperature):
    with pytest.raises(ValueError, match="temperature must be above 0, got .*: 1 keeps the teacher's own distribution"):
        soft_label_kl(*two(2, 3, 7), temperature)


def test_a_teacher_of_another_vocabulary():
    with pytest.raises(ValueError, match=r"one vocabulary.*\(1, 2, 8\) and \(1, 2, 7\)"):
        soft_label_kl(torch.zeros(1, 2, 7), torch.zeros(1, 2, 8))
