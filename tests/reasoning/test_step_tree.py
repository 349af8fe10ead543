"""Steps of the model as a tree: every likely one is found, and its probability is the model's."""

import math

import pytest
import torch

from llmrl.lm.logprobs import token_logp
from llmrl.reasoning.astar import astar
from llmrl.reasoning.mcts import best, mcts
from llmrl.reasoning.step_beam import StepPlan, step_beam
from llmrl.reasoning.step_tree import StepTree, marks, next_steps, recommended, text
from llmrl.reasoning.verifiers import step_verdicts
from llmrl.seeds import rng
from llmrl.toy import checkpoints, tasks
from llmrl.tuning import chat

ITEM = tasks.Item("add", "What is 47+85?", "132", "7+5=12, 4+8+1=13, so 132")


@pytest.fixture(scope="module")
def model():
    return checkpoints.load("reasoning_base")


@pytest.fixture(scope="module")
def tree(model):
    return StepTree(model, ITEM.prompt, lambda t: tasks.verify(ITEM, t), floor=0.02)


def test_every_likely_step_is_found_with_its_probability(model):
    tokenizer = checkpoints.tokenizer()
    ids = chat.prompt_ids(ITEM.messages()[:1], tokenizer)
    ends = marks(tokenizer)
    found, spent = next_steps(model, ids, 0.01, ends)
    assert spent >= max(len(step) for step, _ in found)
    assert [logp for _, logp in found] == sorted((logp for _, logp in found), reverse=True)
    assert 0.5 < sum(math.exp(logp) for _, logp in found) <= 1 + 1e-5
    for step, logp in found:
        assert step[-1] in ends and not set(step[:-1]) & set(ends)
        row = torch.tensor([ids + step])
        exact = token_logp(model(row), row)[0, -len(step) :].sum().item()
        assert logp == pytest.approx(exact, abs=1e-3) and logp >= math.log(0.01)
    fewer, _ = next_steps(model, ids, 0.1, ends)
    assert [step for step, _ in fewer] == [step for step, logp in found if logp >= math.log(0.1)]
    with pytest.raises(ValueError, match="steps have no end after 2 tokens"):
        next_steps(model, ids, 0.01, ends, longest=2)
    with pytest.raises(ValueError, match="floor must be a probability"):
        next_steps(model, ids, 0, ends)


def test_a_game_of_one_player(tree):
    first, *rest = ITEM.steps.split(", ")
    assert f"{first}," in tree.actions(()) and tree.outcome(()) is None
    state = tree.play((), f"{first},")
    assert state == (f"{first},",) and not tree.finished(state)
    assert set(tree.priors(state)) == set(tree.actions(state))
    with pytest.raises(ValueError, match="'1.1=3,' is no step after ''"):
        tree.play((), "1+1=3,")
    direct = next(step for step in tree.actions(()) if step == "132")
    assert tree.finished((direct,)) and tree.outcome((direct,)) == 1.0
    root = mcts(tree, (), 12, lambda s: (tree.priors(s), 0.5))
    assert best(root) in tree.actions(()) and root.N == 12
    state = recommended(tree, root)
    assert state[0] == best(root) and tree.finished(state)
    assert tree.spent >= sum(map(len, tree.known))


def test_the_cheapest_way_is_the_likeliest_solution(tree):
    found = astar((), tree.neighbours, tree.finished)
    everything, open_ = [], [((), 0.0)]
    while open_:
        state, cost = open_.pop()
        for longer, price in tree.neighbours(state):
            if cost + price < -math.log(0.02):  # beyond, a dropped step could be as likely
                (everything if tree.finished(longer) else open_).append((longer, cost + price))
    assert found.cost == pytest.approx(min(cost for _, cost in everything)) and found.cost < -math.log(0.02)
    assert text(found.path[-1]) in {text(state) for state, _ in everything}


def test_a_limit_closes_what_a_verifier_refuses(model):
    honest = StepTree(model, ITEM.prompt, floor=0.02, limit=lambda s: all(step_verdicts(text(s))))
    assert honest.actions(()) and "132" not in honest.actions(())  # no step to check
    found = astar((), honest.neighbours, honest.finished)
    assert text(found.path[-1]) == ITEM.steps
    closed = StepTree(model, ITEM.prompt, limit=lambda s: False)
    assert closed.actions(()) == [] and closed.outcome(()) == 0.0


def test_a_beam_over_steps_keeps_what_the_judge_likes(model):
    prompts = [chat.prompt_ids(item.messages()[:1]) for item in (ITEM, ITEM)]
    judge = lambda place, said: float(ITEM.steps.startswith(said)) if place else -float(ITEM.steps.startswith(said))  # noqa: E731
    said, spent = step_beam(model, prompts, judge, StepPlan(2, 8), generator=rng(0, "beam"))
    assert said[1] == ITEM.steps and said[0] != ITEM.steps
    assert all(tokens > 0 for tokens in spent)
    one, tokens = step_beam(model, prompts[:1], lambda p, s: 0.0, StepPlan(1, 1), generator=rng(1, "beam"))
    assert tokens[0] == len(checkpoints.tokenizer().encode(one[0])) + 1  # one draw is a sample, and its end
    for wrong in ({"width": 0}, {"draws": 0}, {"steps": 1.5}):
        with pytest.raises(ValueError, match="must be a whole number of at least 1"):
            StepPlan(**wrong)
