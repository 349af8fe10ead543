"""Every exercise of the course: the library solves it, every known wrong answer learns why, a stub is not a mistake."""

import inspect

import pytest

from llmrl.lesson import exercise_card
from llmrl.lesson.exercise import exercises
from llmrl.lesson.grading import judge

ALL = list(exercises().values())
WRONG = [(exercise, wrong) for exercise in ALL for wrong in exercise.wrong]
each = pytest.mark.parametrize("exercise", ALL, ids=lambda exercise: exercise.name)


@each
def test_the_library_solves_it(exercise):
    assert str(judge(exercise, exercise.solve())) == f"✓ {exercise.name}: {exercise.title}"


@pytest.mark.parametrize(("exercise", "wrong"), WRONG, ids=lambda x: getattr(x, "name", None) or x.says)
def test_a_wrong_answer_is_told_what_happened(exercise, wrong):
    verdict = judge(exercise, wrong.answer)
    assert verdict.kind == "wrong" and wrong.says in verdict.sentence, verdict
    assert "\n" not in verdict.sentence and len(verdict.sentence) < 300


@each
def test_a_wrong_answer_is_not_praised_for_another_mistake(exercise):
    """Each sentence belongs to one way of being wrong: no known wrong answer reads another's."""
    told = [judge(exercise, wrong.answer).sentence for wrong in exercise.wrong]
    for wrong, sentence in zip(exercise.wrong, told):
        assert [other.says for other in exercise.wrong if other.says in sentence] == [wrong.says]


@each
def test_a_stub_is_not_attempted(exercise):
    def unwritten(*args, **kwargs):
        raise NotImplementedError

    for stub in (unwritten, lambda *args: None, lambda *args: ...):
        assert judge(exercise, stub).kind == "stub"


@each
def test_an_answer_that_breaks_is_told_where(exercise):
    def breaks(*args):
        return [][len(args)]

    verdict = judge(exercise, breaks)
    assert verdict.kind == "wrong" and "line 2 of breaks, `return [][len(args)]`, raised IndexError" in verdict.sentence


@each
@pytest.mark.parametrize("answer", ["words", 3, object(), [], {}, float("nan")], ids=lambda x: type(x).__name__)
def test_an_answer_of_another_kind_is_wrong_and_blocks_nothing(exercise, answer):
    assert judge(exercise, lambda *args: answer).kind == "wrong"


@each
def test_the_signature_names_what_the_library_takes(exercise):
    name, _, arguments = exercise.signature.partition("(")
    parameters = inspect.signature(exercise.solve()).parameters.values()
    wanted = [parameter.name for parameter in parameters if parameter.default is parameter.empty]
    assert name == exercise.name.split(".")[1]
    assert all(argument in arguments for argument in wanted)


@each
def test_its_card_can_be_shown(exercise, capsys):
    exercise_card(exercise.name)
    shown = capsys.readouterr().out
    assert exercise.title in shown and exercise.signature in shown and all(hint in shown for hint in exercise.hints)
