"""The doctor finds what is wrong, says what to do, and speaks even when nothing else works."""

import json
import subprocess
import sys

import pytest

from llmrl.course import doctor, pins, places
from llmrl.toy import files


def findings(look):
    return [(finding.found, finding.way_out) for finding in look()]


def test_every_examination_of_this_installation_speaks():
    found = list(doctor.examine())
    assert {finding.what for finding in found} >= {"Python", "packages", "kernel", "course", "device", "disk", "data"}
    assert not any("could not be examined" in finding.found for finding in found)


def test_an_old_python(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 9, 2))
    assert "make setup PYTHON=python3.11" in findings(doctor.python)[0][1]


def test_missing_and_other_packages(monkeypatch):
    wanted = {"torch": "1.0", "no-such-package": "2.0", "pytest": pins.installed("pytest")}
    monkeypatch.setattr(pins, "pinned", lambda: wanted)
    found = findings(doctor.packages)
    assert len(found) == 2 and all("make setup" in way_out for _, way_out in found)
    assert found[0][0].startswith("torch 2") and found[0][0].endswith("pinned to 1.0")
    assert found[1][0] == "no-such-package is missing, pinned to 2.0"


def test_little_memory_and_disk(monkeypatch):
    monkeypatch.setattr(doctor, "MEMORY", 10**6)
    monkeypatch.setattr(doctor, "DISK", 10**9)
    assert all(way_out for _, way_out in [*findings(doctor.memory), *findings(doctor.disk)])


def test_senseless_settings(monkeypatch):
    monkeypatch.setenv("LLMRL_SEED", "seven")
    monkeypatch.setenv("LLMRL_TIME_FACTOR", "-1")
    problems = [(found, way_out) for found, way_out in findings(doctor.settings) if way_out]
    assert len(problems) == 2 and "LLMRL_SEED must be" in problems[0][0] and "unset" in problems[0][1]


def test_a_kernel_of_another_python(tmp_path, monkeypatch):
    folder = tmp_path / "kernels" / "python3"
    folder.mkdir(parents=True)
    spec = {"argv": ["/usr/elsewhere/bin/python", "-m", "ipykernel"], "display_name": "x", "language": "python"}
    (folder / "kernel.json").write_text(json.dumps(spec))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    found, way_out = findings(doctor.kernel)[0]
    assert "/usr/elsewhere/bin/python" in found and "make lab" in way_out


def test_altered_data(tmp_path, monkeypatch):
    files.ship("words.txt", "one two\n", tmp_path)
    monkeypatch.setenv("LLMRL_DATA", str(tmp_path))
    assert "1 files as shipped" in findings(doctor.data)[0][0]
    (tmp_path / "words.txt").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    found, way_out = findings(doctor.data)[0]
    assert "words.txt" in found and "git checkout" in way_out and "make data" in way_out
    (tmp_path / "words.txt").unlink()
    assert "missing" in findings(doctor.data)[0][0]


def test_an_installed_copy_has_no_notebooks(monkeypatch):
    monkeypatch.setattr(places, "folder", lambda: None)
    assert "without notebooks" in findings(doctor.course)[0][0]
    with pytest.raises(places.NeedsFolder, match="Clone"):
        places.root()


def test_an_examination_that_breaks_is_a_finding(monkeypatch, capsys):
    def device():
        raise ImportError("no torch here")

    monkeypatch.setattr(doctor, "device", device)
    assert not doctor.report()
    said = capsys.readouterr().out
    assert "✗ device" in said and "no torch here" in said and "→" in said and "1 to repair" in said


def test_the_doctor_needs_nothing_but_python():
    """With no site-packages at all it still names what is missing, and ends with 1."""
    code = f"import sys; sys.path.insert(0, {str(places.PACKAGE.parent)!r}); from llmrl.__main__ import main"
    command = [sys.executable, "-S", "-E", "-c", f"{code}; sys.exit(main(['doctor']))"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "torch is missing" in done.stdout and "make setup" in done.stdout, done.stderr
    assert "Traceback" not in done.stderr
