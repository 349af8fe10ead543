"""The package carries the library and the data, and an installed copy works from any folder."""

import os
import shutil
import subprocess
import sys
import zipfile

import pytest

from llmrl.course import places
from llmrl.storage import sha256

ROOT = places.root()
NEEDED = ["setup.py", "pyproject.toml", "requirements.txt", "README.md", "LICENSE", "LICENSE-TEXT", "lib", "data"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The wheel's contents, unpacked as an installer would."""
    source, wheels, target = (tmp_path_factory.mktemp(name) for name in ("source", "wheels", "site-packages"))
    for name in NEEDED:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "*.part")
            shutil.copytree(ROOT / name, source / name, ignore=ignored)
        else:
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--no-build-isolation", "--no-deps", "--no-index"]
    done = subprocess.run([*command, "-w", wheels, source], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(next(wheels.glob("llmrl-*.whl"))) as wheel:
        wheel.extractall(target)
    return target


def python(installed, folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("LLMRL_")}
    environment["PYTHONPATH"] = str(installed)
    return subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=120
    )


def test_every_module_and_every_shipped_file_is_in_the_package(installed):
    for path in (ROOT / "lib" / "llmrl").rglob("*.py"):
        assert (installed / path.relative_to(ROOT / "lib")).is_file(), f"{path.name} is missing from the package"
    for path in (ROOT / "data").rglob("*"):
        if path.is_file() and path.suffix != ".part":
            shipped = installed / "llmrl" / "data" / path.relative_to(ROOT / "data")
            assert shipped.is_file() and sha256(shipped) == sha256(path), f"{path} is missing from the package"
    names = {path.name for path in installed.rglob("*.dist-info/licenses/*")}
    assert names == {"LICENSE", "LICENSE-TEXT"}


def test_an_installed_copy_finds_its_data_from_any_folder(installed, tmp_path):
    code = "import llmrl; from llmrl.toy import files; print(llmrl.__file__, files.data_dir(), files.verify())"
    done = python(installed, tmp_path, "-c", code)
    assert done.stdout.split() == [f"{installed}/llmrl/__init__.py", f"{installed}/llmrl/data", "[]"], done.stderr


def test_an_installed_copy_is_examined_and_says_what_it_cannot_do(installed, tmp_path):
    done = python(installed, tmp_path, "-m", "llmrl", "doctor")
    assert "installed copy without notebooks" in done.stdout and "all is well" in done.stdout, done.stdout
    done = python(installed, tmp_path, "-m", "llmrl", "run")
    assert done.returncode == 2 and "installed without it" in done.stderr and "Clone http" in done.stderr
