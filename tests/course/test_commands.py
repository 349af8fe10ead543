"""python -m llmrl and make: what they offer, how they end, and what they say when they cannot."""

import re
import shutil
import subprocess
import sys

import pytest

from llmrl import __main__ as commands
from llmrl.course import places
from llmrl.lesson.first_cell import repository

ROOT = places.root()
TARGETS = "setup lab test run check data checkpoints studies bench effects clean help".split()


def test_every_command_is_described(capsys):
    with pytest.raises(SystemExit) as done:
        commands.main(["--help"])
    assert done.value.code == 0
    said = capsys.readouterr().out
    for name in ("doctor", "run", "coverage", "progress", "stamp"):
        assert re.search(rf"^ +{name} +\w+", said, re.M), name


@pytest.mark.parametrize("arguments", [[], ["fly"], ["run", "--jobs", "0"], ["run", "--jobs", "many"], ["doctor", "x"]])
def test_a_wrong_command_line_ends_with_two(arguments, capsys):
    with pytest.raises(SystemExit) as done:
        commands.main(arguments)
    assert done.value.code == 2 and "error:" in capsys.readouterr().err


def test_coverage_prints_the_map(capsys):
    assert commands.main(["coverage"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"^tokens.bpe +01_llm_basics/01_text_to_tokens +\w+", said, re.M) and "283 concepts:" in said


def test_missing_lists_only_what_does_not_stand(capsys):
    assert commands.main(["coverage", "--missing"]) == 0
    rows = capsys.readouterr().out.split("\n\n")[0].splitlines()[1:]
    assert rows and not any(row.endswith(" stands") for row in rows)


def test_an_unknown_notebook_is_one_sentence(capsys):
    assert commands.main(["run", "no-such-notebook"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("llmrl: no notebook's name holds or matches 'no-such-notebook'") and "Traceback" not in said


@pytest.mark.parametrize("line", ["run", "stamp", "coverage", "coverage --readme", "coverage --write"])
def test_an_installed_copy_says_what_it_lacks(line, monkeypatch, capsys):
    monkeypatch.setattr(places, "folder", lambda: None)
    assert commands.main(line.split()) == 2
    assert re.search(r"installed without it .* Clone https?://\S+,", capsys.readouterr().err)


def test_a_closed_pipe_is_no_error():
    command = f"{sys.executable} -m llmrl coverage | head -n 1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stderr == "" and done.stdout.startswith("concept")


needs_make = pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")


@needs_make
def test_make_help_has_one_line_for_each_target():
    said = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, timeout=60).stdout
    assert re.findall(r"^  make (\w+) +\S", said, re.M) == TARGETS


@needs_make
@pytest.mark.parametrize("target", [name for name in TARGETS if name not in ("clean", "help")])
def test_every_target_sets_up_first(target):
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert said.returncode == 0 and said.stdout.splitlines()[0] == "sh .ci/setup"


@needs_make
@pytest.mark.parametrize("target", ["data", "checkpoints", "studies", "bench", "effects"])
def test_the_modules_make_calls_exist(target):
    said = subprocess.run(
        ["make", "--no-print-directory", "-n", target], cwd=ROOT, capture_output=True, text=True, timeout=60
    ).stdout
    module = re.search(r"-m ([\w.]+)", said)[1]
    file = ROOT / (module.replace(".", "/") if module.startswith("bench") else "lib/" + module.replace(".", "/"))
    assert file.with_suffix(".py").is_file() or (file / "__main__.py").is_file()


def test_ci_runs_the_command_of_the_readme():
    assert "make test" in (ROOT / ".ci/run").read_text() and "make test " in (ROOT / "README.md").read_text()
    assert "run: .ci/run" in (ROOT / ".github/workflows/ci.yml").read_text()
    for script in (".ci/run", ".ci/setup"):
        assert (ROOT / script).stat().st_mode & 0o100
        shell = "bash" if "bash" in (ROOT / script).read_text().splitlines()[0] else "sh"
        assert subprocess.run([shell, "-n", ROOT / script]).returncode == 0


def test_the_repository_has_one_address():
    address = repository()
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"git clone {address} " in readme
    assert address.replace("https://github.com", "https://colab.research.google.com/github") + "/blob/main/" in readme
