"""requirements.txt, environment.yml, the package's metadata and what is installed say the same."""

import tomllib
from importlib import metadata

import pytest
import yaml

from llmrl.course import pins, places

ROOT = places.root()


def test_every_requirement_is_pinned_exactly():
    found = pins.parse((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    assert found["torch"] == "2.13.0" and found["trl"] == "1.16.0" and len(found) >= 25


@pytest.mark.parametrize("line", ["torch", "torch>=2", "torch==2.*", "torch~=2.1", "-r more.txt", "torch==2; os_name"])
def test_a_loose_requirement_is_refused(line):
    with pytest.raises(ValueError, match="line 2 must pin one version"):
        pins.parse(f"numpy==1.0\n{line}\n")


def test_a_package_pinned_twice_is_refused():
    with pytest.raises(ValueError, match="a second time"):
        pins.parse("jupyter_client==1.0\nJupyter.Client==2.0\n")


def test_the_package_reads_its_dependencies_from_the_pins():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "dependencies" in project["project"]["dynamic"] and "dependencies" not in project["project"]
    assert project["tool"]["setuptools"]["dynamic"]["dependencies"] == {"file": ["requirements.txt"]}
    assert project["project"]["requires-python"] == ">=3.11"


def test_what_was_installed_with_the_course_is_what_is_pinned():
    assert pins.parse("\n".join(metadata.requires("llmrl"))) == pins.pinned(), "run `make setup`"


def test_conda_installs_the_same_pins():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    by_name = {next(iter(d)) if isinstance(d, dict) else d.split("=")[0]: d for d in environment["dependencies"]}
    assert by_name["pip"] == {"pip": ["-r requirements.txt", "-e ."]}, "pip installs the pins and the course"
    assert by_name["python"] == "python=3.11"
    assert environment["name"] == "llmrl" and set(by_name) == {"python", "pip"}


def test_installed_versions_are_the_pinned_ones():
    wrong = [f"{name} {found or 'is missing'}, pinned to {wanted}" for name, wanted, found in pins.wrong()]
    assert not wrong, "; ".join(wrong) + ": run `make setup`"


def test_build_tags_do_not_count(monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cpu")
    assert pins.installed("torch") == "2.13.0"


def test_a_missing_package_is_seen():
    assert pins.installed("no-such-package-as-this") is None
