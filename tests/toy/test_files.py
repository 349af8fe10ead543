"""Shipped files: rebuilt byte for byte, named when missing or altered, found from anywhere."""

import shutil

import pytest

from llmrl.toy import corpus, files, make


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """A data folder of our own with two small files."""
    monkeypatch.setenv("LLMRL_DATA", str(tmp_path))
    files.ship("facts.json", "{}\n")
    files.ship("checkpoints/base/config.json", "{}\n")
    yield tmp_path
    files.forget()


def test_make_data_gives_the_shipped_bytes():
    for name, contents in make.build():
        assert contents == files.read_text(name), f"{name} differs from what `make data` builds"


def test_the_corpus_follows_its_seed():
    assert corpus.documents(200, 1) == corpus.documents(200, 1) != corpus.documents(200, 2)


def test_every_shipped_file_is_whole():
    assert files.verify() == []


def test_a_whole_file_is_read(shipped):
    assert files.read_json("facts.json") == {} and files.verify() == []


def test_an_altered_file_is_named_with_its_command(shipped):
    (shipped / "facts.json").write_text("{} \n")
    files.forget()
    with pytest.raises(files.DataError, match=r"data/facts.json was altered.*make data"):
        files.read_text("facts.json")


def test_a_missing_checkpoint_is_named_with_its_command(shipped):
    shutil.rmtree(shipped / "checkpoints")
    files.forget()
    assert len(files.verify()) == 1
    with pytest.raises(files.DataError, match=r"config.json is missing.*make checkpoints"):
        files.path("checkpoints/base/config.json")


def test_an_unknown_name_lists_the_known(shipped):
    with pytest.raises(files.DataError, match="no shipped file is called 'fact.json'.*facts.json"):
        files.path("fact.json")


@pytest.mark.parametrize("damage", ["", "{not json", "[1, 2]", "null"])
def test_a_damaged_listing_says_so_and_is_not_written_over(shipped, damage):
    (shipped / "checksums.json").write_text(damage)
    files.forget()
    for use in (lambda: files.path("facts.json"), lambda: files.ship("facts.json", "{}\n")):
        with pytest.raises(files.DataError, match="checksums.json cannot be read.*`git checkout -- data"):
            use()
    assert len(files.verify()) == 1 and (shipped / "checksums.json").read_text() == damage


def test_a_missing_listing_is_named(shipped):
    (shipped / "checksums.json").unlink()
    files.forget()
    with pytest.raises(files.DataError, match="checksums.json cannot be read"):
        files.names()


def test_what_is_shipped_again_keeps_the_lines_of_the_others(shipped):
    files.ship("facts.json", "{ }\n")
    assert files.names() == ["checkpoints/base/config.json", "facts.json"] and files.verify() == []


def test_every_file_has_a_card():
    cards = (files.data_dir() / "README.md").read_text(encoding="utf-8")
    for name in files.names():
        part = name.split("/")[1] if name.startswith("checkpoints/") else name
        assert f"`{part}`" in cards, f"{name} has no card in data/README.md"
