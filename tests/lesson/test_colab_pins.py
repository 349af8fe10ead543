"""What Colab gets on top of its own: what is missing, never what its kernel is made of."""

import subprocess
import sys
import zipfile

import pytest

from llmrl.lesson import colab, first_cell
from llmrl.lesson.first_cell import repository

TORCH, TRANSFORMERS, TRL, SB3, NUMPY = PINS = [
    "torch==2.13.0",
    "transformers==5.23.0",
    "trl==1.16.0",
    "stable-baselines3==2.9.2",
    "numpy==2.4.6",
]
ALL = {"torch": "2.13.0", "transformers": "5.23.0", "trl": "1.16.0", "stable-baselines3": "2.9.2", "numpy": "2.4.6"}
WITHOUT_SB3 = {name: version for name, version in ALL.items() if name != "stable-baselines3"}


@pytest.mark.parametrize(
    ("present", "loaded", "missing"),
    [
        (ALL, (), []),
        ({"torch": "2.9.0+cu126", "numpy": "2.0.2"}, (), [TRANSFORMERS, TRL, SB3]),
        (ALL | {"torch": "2.9.0+cu126", "transformers": "5.1.0"}, (), [TRANSFORMERS]),
        (ALL | {"transformers": "5.1.0"}, ("transformers",), []),
        ({name: version for name, version in ALL.items() if name != "numpy"}, (), [NUMPY]),
        (WITHOUT_SB3 | {"trl": "1.0"}, ("stable_baselines3",), [TRL, SB3]),
    ],
    ids=["all there", "three absent", "another version", "already imported", "even numpy may be absent", "two at once"],
)
def test_only_what_is_lacking_is_installed(present, loaded, missing):
    assert colab.missing([*PINS, "pytest==9.2.0"], present, loaded) == missing


def test_a_machine_with_all_pins_lacks_nothing(monkeypatch):
    monkeypatch.setattr(colab, "install", lambda *args: pytest.fail("nothing to install"))
    colab.complete()


def test_this_is_no_colab():
    assert not colab.here()


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """pip sees one folder with one package, and installs beside this environment."""
    folder, target = tmp_path / "wheels", tmp_path / "site"
    folder.mkdir()
    with zipfile.ZipFile(folder / "smallest_course_part-1.0-py3-none-any.whl", "w") as wheel:
        wheel.writestr("smallest_course_part.py", "VALUE = 3\n")
        info = "smallest_course_part-1.0.dist-info"
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: smallest-course-part\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    quiet = {"NO_INDEX": "1", "DISABLE_PIP_VERSION_CHECK": "1"}
    for name, value in {**quiet, "FIND_LINKS": folder, "TARGET": target}.items():
        monkeypatch.setenv(f"PIP_{name}", str(value))
    return target


@pytest.mark.slow
def test_pip_installs_what_is_lacking_and_holds_the_rest(wheels):
    colab.install(["smallest-course-part==1.0"], {"torch": "2.9.0+cu126"})
    assert (wheels / "smallest_course_part.py").exists()
    with pytest.raises(RuntimeError, match="restart the session"):
        colab.install(["smallest-course-part==1.0"], {"smallest-course-part": "0.9"})
    with pytest.raises(RuntimeError, match="no-such-part==1"):
        colab.install(["no-such-part==1"], {})


def test_the_first_cell_is_short_and_names_the_course_once_installed():
    cell = first_cell("03_dpo/01_from_rlhf_to_dpo")
    lines = [line for line in cell.splitlines() if line.strip()]
    assert len(lines) <= 12 and max(map(len, lines)) <= 120
    assert lines[-1] == 'lesson = begin("03_dpo/01_from_rlhf_to_dpo")'
    assert f'"git+{repository()}"' in cell


def test_every_name_of_the_first_cell_is_the_kits():
    import llmrl.lesson

    line = next(line for line in first_cell("x").splitlines() if line.startswith("from llmrl.lesson import "))
    names = line.removeprefix("from llmrl.lesson import ").split(", ")
    assert set(names) == set(llmrl.lesson.__all__) - {"first_cell"}
    assert all(hasattr(llmrl.lesson, name) for name in names)


def test_without_the_course_and_outside_colab_the_first_cell_says_where_it_is(tmp_path):
    (tmp_path / "hide.py").write_text("import sys\nsys.modules['llmrl'] = sys.modules['google.colab'] = None\n")
    code = f"import hide\n{first_cell('00_start_here')}"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert last == f"ImportError: the course is not here: clone {repository()} and run `make lab`"
    assert "During handling" not in done.stderr
