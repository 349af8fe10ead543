"""The exercise on A2C's loss tells through what a gradient flows, when the value is right."""

import pytest

from llmrl.lesson.exercise import exercises
from llmrl.lesson.grading import judge


def loss(logp, values, entropy, adv, ret, config):
    return -logp * adv + config.value_weight * (values - ret) ** 2 - config.entropy_weight * entropy


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (loss, "through adv"),
        (lambda *c: loss(*c[:3], c[3].detach(), *c[4:]), "through ret"),
        (lambda *c: loss(c[0], c[1].detach(), c[2], c[3].detach(), c[4].detach(), c[5]), "reaches values"),
        (lambda *c: loss(c[0].detach(), *c[1:3], c[3].detach(), c[4].detach(), c[5]), "reaches logp"),
        (lambda *c: loss(*c).detach(), "no gradient flows at all"),
    ],
)
def test_gradients_are_told_apart(answer, says):
    verdict = judge(exercises()["policy.a2c_loss"], answer)
    assert verdict.kind == "wrong" and says in verdict.sentence, verdict
