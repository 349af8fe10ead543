"""Imports point one way, slow packages load late, and `import llmrl` is quick."""

import ast
import subprocess
import sys
import time

import pytest

from llmrl.course import imports, places

SOURCE = imports.modules(places.PACKAGE)
GRAPH = imports.graph(SOURCE)


def injected(module, line):
    """The library's syntax trees with one line added to the end of a module."""
    trees = dict(SOURCE)
    trees[module] = ast.parse(ast.unparse(trees.get(module, ast.parse(""))) + "\n" + line)
    return trees


def new_steps_back(trees):
    """The steps back that an injected line brings."""
    before = set(imports.steps_back(GRAPH, SOURCE))
    return [problem for problem in imports.steps_back(imports.graph(trees), trees) if problem not in before]


def test_every_module_has_a_rank():
    for module in SOURCE:
        imports.rank(module)
    with pytest.raises(ValueError, match="alchemy.gold has no rank"):
        imports.rank("alchemy.gold")


def test_no_module_imports_upwards():
    assert list(imports.steps_back(GRAPH, SOURCE)) == []


def test_slow_packages_are_imported_where_they_are_used():
    assert list(imports.heavy_at_top(GRAPH)) == []


def test_no_circle_of_imports():
    assert list(imports.cycles(GRAPH, SOURCE)) == []


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("storage", "from llmrl.lesson import check"),
        ("lesson", "import llmrl.lm.logprobs"),
        ("lesson", "def f():\n    from llmrl.lm import logprobs"),
        ("lm", "from ..toy import checkpoints"),
        ("lm.logprobs", "from ..tuning import chat"),
        ("lm.logprobs", "from llmrl import policy"),
        ("tuning.chat", "import llmrl.policy"),
        ("toy.words", "from llmrl.lm.logprobs import token_logp"),
        ("policy", "from llmrl.course import rules"),
    ],
)
def test_a_step_back_is_refused(module, line):
    problems = new_steps_back(injected(module, line))
    assert problems and problems[0].startswith(f"{module} (rank ")


def test_a_step_forward_is_allowed():
    trees = injected("preference", "from llmrl.lm import logprobs\nfrom llmrl.tuning import chat\nimport llmrl.seeds")
    assert new_steps_back(trees) == []


@pytest.mark.parametrize("line", ["import trl", "from transformers import Trainer", "if True:\n    import peft.tuners"])
def test_a_slow_package_on_loading_is_refused(line):
    assert list(imports.heavy_at_top(imports.graph(injected("lm", line))))
    inside = "def f():\n" + "\n".join(f"    {part}" for part in line.splitlines())
    assert list(imports.heavy_at_top(imports.graph(injected("lm", inside)))) == []


def test_a_circle_is_refused():
    trees = {"lm.a": ast.parse("import llmrl.lm.b"), "lm.b": ast.parse("from llmrl.lm.a import x")}
    assert "circle" in next(imports.cycles(imports.graph(trees), trees))


def python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_the_course_is_quick_and_loads_nothing_heavy():
    slow = sorted(imports.HEAVY | {"torch", "numpy", "matplotlib"})
    assert python(f"import sys, llmrl; print([m for m in {slow} if m in sys.modules])") == "[]"
    seconds = []
    for _ in range(3):
        begun = time.perf_counter()
        python("import llmrl")
        seconds.append(time.perf_counter() - begun)
    assert min(seconds) < 1.0, f"import llmrl takes {min(seconds):.2f} s, Python's own start included"
