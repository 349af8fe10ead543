"""Stored notebooks: the same bytes for the same content, nothing lost, and clear words for a file that is none."""

import json

import pages
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.course import stored


def test_noise_goes_and_meaning_stays():
    noisy = pages.good()
    noisy["metadata"] = {"kernelspec": {"name": "my-env"}, "language_info": {"version": "3.9"}, "widgets": {}}
    noisy["cells"][3]["metadata"] |= {"execution": {"iopub.status.busy": "2026"}, "scrolled": True, "tags": ["keep"]}
    tidy = stored.tidy(noisy)
    assert tidy["metadata"] == {"kernelspec": stored.KERNEL, "language_info": {"name": "python"}}
    assert tidy["cells"][3]["metadata"] == {"tags": ["keep"]}
    assert tidy["cells"][3]["outputs"][0]["metadata"] == {"image/png": {"alt": "A line that falls from four to one."}}


def test_writing_twice_gives_the_same_bytes(tmp_path):
    path = tmp_path / "a.ipynb"
    stored.write(pages.good(), path)
    first = path.read_bytes()
    stored.write(stored.read(path), path)
    assert path.read_bytes() == first and first.endswith(b"}\n")


@given(st.lists(st.tuples(st.sampled_from(["stdout", "stderr"]), st.text(max_size=5)), max_size=8))
def test_joined_prints_say_the_same_and_alternate(pieces):
    joined = stored.join_streams([pages.said(text, name) for name, text in pieces])
    for name in ("stdout", "stderr"):
        printed = "".join(out["text"] for out in joined if out["name"] == name)
        assert printed == "".join(text for own, text in pieces if own == name)
    assert all(one["name"] != two["name"] for one, two in zip(joined, joined[1:]))


@pytest.mark.parametrize("content", ["", "not json", "[]", "{}", '{"cells": 3}', json.dumps({"nbformat": 9})])
def test_a_file_that_is_no_notebook_is_named(tmp_path, content):
    path = tmp_path / "broken.ipynb"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"broken.ipynb is not a notebook .*git checkout"):
        stored.read(path)


def test_a_truncated_notebook_is_named(tmp_path):
    path = tmp_path / "cut.ipynb"
    text = stored.text(pages.good())
    path.write_text(text[: len(text) // 2])
    with pytest.raises(ValueError, match="cut.ipynb is not a notebook"):
        stored.read(path)
