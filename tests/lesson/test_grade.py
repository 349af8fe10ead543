"""Grading never stops a notebook: every way an answer can go wrong ends in one line that says what to do."""

import threading
import types

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from llmrl.lesson import exercise as registry
from llmrl.lesson import exercise_card, grade, grading
from llmrl.lesson.attempt import copied
from llmrl.lesson.exercise import Exercise, Wrong, exercise
from llmrl.lesson.feedback import difference, differs


def twice(x):
    return 2 * x


ABOUT = {
    "title": "Twice <as much>",
    "signature": "twice(x: (B,)) -> (B,)",
    "solution": f"{__name__}.twice",
    "minutes": 3,
    "difficulty": 2,
    "hints": ("Add it to itself & see.", "Or multiply."),
    "wrong": (
        Wrong("that is the square", lambda x: x * x),
        Wrong("that is one more", lambda x: x + 1),
        Wrong("only the first was doubled", lambda x: torch.cat([2 * x[:1], x[1:]])),
    ),
}


def doubled(answer, solution):
    for x in (torch.tensor([2.0, 3.0]), torch.zeros(0)):
        yield differs(answer(x), solution(x), f"on {x.tolist()}")


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    """The course has one exercise: toy.twice."""
    solved = {**ABOUT, "solution": "llmrl.toy_twice.twice"}
    module = types.ModuleType("llmrl.toy_twice")
    module.twice = twice
    monkeypatch.setitem(__import__("sys").modules, "llmrl.toy_twice", module)
    known = {"toy.twice": exercise("toy.twice", **solved)(doubled)}
    monkeypatch.setattr(registry, "exercises", lambda: known)
    monkeypatch.setattr("llmrl.lesson.progress.exercises", lambda: known)
    return known["toy.twice"]


def said(function, capsys, **how):
    assert grade("toy.twice", function, **how) is None
    return capsys.readouterr().out


def test_a_right_answer_is_praised_once_per_call_in_the_same_words(capsys):
    assert said(lambda x: x + x, capsys) == said(twice, capsys) == "✓ toy.twice: Twice <as much>\n"


def test_a_known_wrong_answer_reads_its_sentence(capsys):
    assert said(lambda x: x**2, capsys) == (
        "✗ toy.twice: on [2.0, 3.0], entry [1] should be 6 and is 9: that is the square\n"
    )


def test_an_unknown_wrong_answer_reads_the_difference(capsys):
    assert said(lambda x: 3 * x, capsys) == "✗ toy.twice: on [2.0, 3.0], entry [0] should be 4 and is 6\n"


def unwritten(x):
    raise NotImplementedError("write me")


def dotted(x):
    half = ...
    return half * 2 * x


@pytest.mark.parametrize("stub", [unwritten, dotted, lambda x: None, lambda x: ...])
def test_a_stub_is_not_attempted(stub, capsys):
    assert said(stub, capsys).startswith("○ not attempted yet: toy.twice. ")


def gives_up(x):
    return 2 * x if len(x) else None


def divides(x):
    y = 1
    return y / (len(x) - 2)


def opens(x):
    return open("/no/such/folder/" + "file.txt")


def helper(x):
    return [][1]


def asks_a_helper(x):
    return helper(x)


def unsupported(x):
    raise NotImplementedError('"twice_cpu" not implemented for \'Half\'')


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (gives_up, "on [], a tensor of shape (0,) was expected, not None"),
        (divides, "line 3 of divides, `return y / (len(x) - 2)`,"),
        (opens, "raised FileNotFoundError: [Errno 2] No such file or directory: 'file.txt'"),
        (asks_a_helper, "line 2 of helper, `return [][1]`, raised IndexError"),
        (unsupported, "not implemented for 'Half'"),
        (lambda: 3, "could not be called as twice(x: (B,)) -> (B,) (TypeError"),
        (lambda x: (_ for _ in ()).throw(KeyError("k")), "raised KeyError"),
        (torch.nn.Linear(7, 7), "could not be called"),
        (lambda x: object(), "a tensor of shape (2,) was expected, not something of type object"),
        (lambda x: x[None], "the shape should be (2,) and is (1, 2)"),
        (lambda x: (2 * x).double(), "the dtype should be torch.float32 and is torch.float64"),
        (lambda x: x * float("nan"), "should be 4 and is nan"),
        (lambda x: (2 * x).to_sparse(), "on [2.0, 3.0]"),
    ],
)
def test_what_goes_wrong_in_the_function_is_one_sentence(function, sentence, capsys):
    line = said(function, capsys)
    assert line.startswith("✗ toy.twice: ") and sentence in line.replace("does not fit", "on [2.0, 3.0]")
    assert line.count("\n") == 1 and "/lib/" not in line and "0x" not in line


def changes_its_input(x):
    x *= 100
    return x / 50


def test_changing_the_input_in_place_fools_nobody(capsys):
    assert said(changes_its_input, capsys).startswith("✓")

    def shrinks(x):
        return x.mul_(0)

    assert said(shrinks, capsys).startswith("✗ toy.twice: on [2.0, 3.0], entry [0] should be 4 and is 0")


def test_copies_are_copies():
    draw = torch.Generator().manual_seed(3)
    nested = {"a": [torch.ones(2, requires_grad=True)], "dice": draw, "f": twice}
    copy = copied(nested)
    assert copy["a"][0] is not nested["a"][0] and copy["a"][0].requires_grad and copy["f"] is twice
    assert torch.equal(torch.rand(2, generator=copy["dice"]), torch.rand(2, generator=draw))


def loops(x):
    while True:
        try:
            x = x + 1
        except Exception:
            pass


def loops_stubbornly(x):
    for _ in range(3):
        try:
            while True:
                pass
        except:  # noqa: E722
            pass
    return x


def test_a_loop_that_never_ends_is_ended(capsys):
    assert "still running after 0.2 seconds" in said(loops, capsys, seconds=0.2)


@pytest.mark.slow
def test_a_loop_that_swallows_everything_is_ended_too(capsys):
    assert said(loops_stubbornly, capsys, seconds=0.2).startswith("✗")


def test_other_threads_grade_without_an_alarm(capsys):
    worker = threading.Thread(target=grade, args=("toy.twice", twice))
    worker.start()
    worker.join()
    assert capsys.readouterr().out.startswith("✓")


def test_an_interrupt_by_the_learner_is_an_interrupt():
    def interrupted(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        grade("toy.twice", interrupted)


def test_the_function_itself_is_wanted():
    with pytest.raises(TypeError, match=r"grade\('toy.twice', f\)"):
        grade("toy.twice", twice(3))


@pytest.mark.parametrize("name", ["toy.twicd", "twice", "toy"])
def test_an_unknown_exercise_is_answered_with_near_names(name):
    with pytest.raises(ValueError, match="did you mean 'toy.twice'"):
        grade(name, twice)


def test_a_broken_checker_is_the_answers_fault_only_when_the_solution_survives(toy):
    def careless(answer, solution):
        answer(torch.ones(2))["key"]
        yield

    broken = Exercise(**{**vars(toy), "checker": careless})
    assert "does not fit" in grading.judge(broken, lambda x: [1]).sentence


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("name", "twice", "subject.function"),
        ("signature", "twice", "signature with shapes"),
        ("solution", "math.sqrt", "solution in llmrl"),
        ("minutes", 0, "minutes"),
        ("difficulty", 4, "difficulty"),
        ("hints", ("one",), "two hints"),
        ("wrong", ABOUT["wrong"][:2], "three or more"),
    ],
)
def test_an_incomplete_exercise_is_refused(field, value, rule):
    with pytest.raises(ValueError, match=rule):
        Exercise(**{**ABOUT, "name": "toy.twice", "solution": "llmrl.x.y", "checker": doubled, field: value})


def test_two_exercises_of_one_name_are_refused(toy):
    module = types.ModuleType("llmrl.other.exercises")
    module.again = Exercise(**vars(toy))
    with pytest.raises(ValueError, match="two exercises are called 'toy.twice', one of them in llmrl.other.exercises"):
        registry.add({"toy.twice": toy}, module)
    registry.add({"toy.twice": module.again}, module)


def test_the_card_escapes_and_folds(toy, monkeypatch):
    shown = []
    monkeypatch.setattr("llmrl.lesson.card.emit", shown.append)
    exercise_card("toy.twice")
    html = shown[0]["text/html"]
    assert "Twice &lt;as much&gt;" in html and html.count("<details") == 3 and "itself &amp; see" in html
    assert "●●○ 2 of 3" in html and "about 3 minutes" in html


@pytest.mark.parametrize(
    ("got", "want", "problem"),
    [
        (torch.tensor([1, 2]), torch.tensor([1, 2]), None),
        (torch.tensor(float("nan")), torch.tensor(float("nan")), None),
        (torch.tensor(1.0), torch.tensor(2.0), "the result should be 2 and is 1"),
        (torch.tensor([True]), torch.tensor([False]), "entry [0] should be False and is True"),
        ((1, 2), (1, 2, 3), "a tuple of length 3 was expected, not a tuple of length 2"),
        ([1, 2], [1, 3], "in item 1, 3 was expected, not 2"),
        ({"a": torch.ones(1)}, {"a": torch.ones(1)}, None),
        ({"a": 1}, {"b": 1}, "a dictionary with the keys 'b' was expected, not a dictionary with the keys 'a'"),
        ({"a": 1}, {"a": 2}, "under 'a', 2 was expected, not 1"),
        (0.1 + 0.2, 0.3, None),
        ([], [], None),
        (torch.tensor(3), 3, "3 was expected, not something of type Tensor"),
        ("x", 0.3, "0.3 was expected, not 'x'"),
        ("cat", "dog", "'dog' was expected, not 'cat'"),
        (True, 1, "1 was expected, not True"),
    ],
)
def test_the_first_difference_in_words(got, want, problem):
    assert difference(got, want) == problem


@given(arrays(np.float32, array_shapes(max_dims=3, max_side=4), elements=st.floats(-9, 9, width=16)), st.data())
def test_one_changed_entry_is_named_with_its_place(values, data):
    want = torch.from_numpy(values)
    got = want.clone()
    assert difference(got, want) is None
    place = tuple(data.draw(st.integers(0, size - 1)) for size in want.shape)
    got[place] += 1
    assert difference(got, want).startswith(f"entry {list(place)} should be ")
    assert difference(got[None], want).startswith("the shape should be ")
    assert difference(got.double(), want).startswith("the dtype should be ")
