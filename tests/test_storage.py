"""A file is written whole or not at all, whatever goes wrong while it is written."""

import os
import subprocess
import sys

import pytest

from llmrl.storage import sha256, write_whole

OLD = "what was there before"


@pytest.fixture
def target(tmp_path):
    path = tmp_path / "kept.txt"
    path.write_text(OLD)
    return path


def attempt(body):
    """Run a few lines in a process of their own; returns what it printed."""
    done = subprocess.run([sys.executable, "-c", body], capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


def test_text_and_bytes_are_written_and_replaced(target):
    assert write_whole(target, "größer").read_text(encoding="utf-8") == "größer"
    assert write_whole(target, b"\x00\x01").read_bytes() == b"\x00\x01"
    assert [p.name for p in target.parent.iterdir()] == ["kept.txt"]


def test_missing_folders_are_made(tmp_path):
    assert write_whole(tmp_path / "a" / "b" / "c.txt", "x").read_text() == "x"


def test_a_full_disk_leaves_the_old_file_and_no_part(target):
    said = attempt(
        "import resource; from llmrl.storage import write_whole\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"  # no file may grow beyond one page
        f"write_whole({str(target)!r}, 'x' * 100_000)"
    )
    assert "kept.txt (100,000 bytes) was not written" in said and "free some space" in said
    assert target.read_text() == OLD and len(list(target.parent.iterdir())) == 1


def test_a_read_only_folder_is_named_and_nothing_lost(target):
    if os.geteuid() == 0:
        os.chmod(target.parent, 0o555)
        for folder in target.parents[1:3]:
            os.chmod(folder, 0o755)
        as_nobody = "import os; os.setuid(65534)\n"
    else:
        os.chmod(target.parent, 0o555)
        as_nobody = ""
    said = attempt(
        f"from llmrl.storage import write_whole\n{as_nobody}"
        f"try:\n    write_whole({str(target)!r}, 'new')\nexcept OSError as e:\n    print(e)"
    )
    os.chmod(target.parent, 0o755)
    assert "Permission denied: kept.txt (3 bytes) was not written" in said and "choose a folder" in said
    assert target.read_text() == OLD


def test_a_killed_writer_leaves_the_old_file(target):
    attempt(
        "import os, signal; from llmrl import storage\n"
        "storage.os.fsync = lambda handle: os.kill(os.getpid(), signal.SIGKILL)\n"
        f"storage.write_whole({str(target)!r}, 'new')"
    )
    assert target.read_text() == OLD


def test_a_folder_in_the_way_is_an_error_that_names_it(tmp_path):
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError, match="taken .* was not written"):
        write_whole(tmp_path / "taken", "x")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_sha256_is_the_known_one(target):
    target.write_bytes(b"abc")
    assert sha256(target) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
