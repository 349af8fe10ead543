"""A notebook alone in an empty folder, in a kernel like Colab's: it fetches the course and runs as stored.

The environment has every pinned requirement and no llmrl: its site-packages link to this environment's, entry by entry,
without ours. `google.colab` is an empty stand-in; the course comes from a local clone, so nothing needs a network.
"""

import json
import os
import shutil
import subprocess
import sysconfig
import venv
from pathlib import Path

import nbformat
import pytest

from llmrl.lesson import first_cell

CHECKOUT = Path(__file__).resolve().parents[2]
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="the environment is made of symbolic links"),
    pytest.mark.skipif(not (CHECKOUT / ".git").exists(), reason="the course is cloned from a checkout"),
]
RUN = """
import sys, nbformat, nbclient
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=300).execute()
nbformat.write(notebook, sys.argv[2])
"""


class Machine:
    """A machine that has the pinned requirements, a stand-in for Colab, and an empty folder to work in."""

    def __init__(self, root):
        self.root, self.folder, self.clone = root, root / "content", root / "clone"
        self.folder.mkdir()
        venv.create(root / "env", with_pip=False)
        self.python = root / "env" / "bin" / "python"
        self.site = Path(sysconfig.get_path("purelib", vars={"base": str(root / "env")}))
        for entry in Path(sysconfig.get_path("purelib")).iterdir():
            if "llmrl" not in entry.name:
                (self.site / entry.name).symlink_to(entry)
        (root / "standin" / "google" / "colab").mkdir(parents=True)
        (root / "standin" / "google" / "colab" / "__init__.py").write_text("")
        subprocess.run(["git", "clone", "-q", str(CHECKOUT), str(self.clone)], check=True)

    def run(self, *command, colab=True, cwd=None):
        private = ("LLMRL_", "PYTHON", "JUPYTER", "PIP_")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(private)}
        settings = {
            "HOME": str(self.root / "home"),
            "PYTHONPATH": str(self.root / "standin") if colab else "",
            "LLMRL_SOURCE": str(self.clone),
            "PIP_NO_INDEX": "1",
            "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this variable as: build isolation, no
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        }
        command = [str(self.python), *map(str, command)]
        return subprocess.run(command, env=inherited | settings, cwd=cwd or self.folder, capture_output=True, text=True)

    def execute(self, path, **how):
        """Run the notebook at path; returns it with its outputs."""
        done = self.run("-c", RUN, path, self.folder / "done.ipynb", **how)
        assert done.returncode == 0, done.stderr[-2000:]
        return nbformat.read(self.folder / "done.ipynb", 4)


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(tmp_path_factory.mktemp("colab"))


@pytest.fixture(scope="module")
def installed(machine):
    """The machine after a small lesson ran on it, its clone no longer fit to be imported from."""
    machine.lesson = machine.execute(small_notebook(machine.folder / "small.ipynb"))
    shutil.rmtree(machine.clone / "lib")
    return machine


def small_notebook(path):
    """A lesson in two cells."""
    cells = [
        first_cell("00_start_here"),
        "from llmrl.toy import files\ncheck.that('the data came along', files.verify() == [])",
    ]
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path)
    return path


def compared(notebook):
    """What is compared of a notebook's outputs: all text but that of cells tagged as varying."""
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    kept = [cell.outputs for cell in cells if "nbval-ignore-output" not in cell.metadata.get("tags", [])]
    return [[(out.get("text"), _text(out.get("data", {}))) for out in outputs] for outputs in kept]


def _text(data):
    return [text for kind, text in data.items() if kind.startswith("text/")]


def test_without_colab_the_first_cell_says_where_the_course_is(machine):
    """Comes first: later the course is installed."""
    assert machine.run("-c", "import llmrl").returncode == 1
    done = machine.run("-c", RUN, small_notebook(machine.folder / "small.ipynb"), "never.ipynb", colab=False)
    assert "the course is not here: clone http" in done.stderr


def test_in_colab_the_first_cell_installs_the_course_and_its_data(installed):
    opening, checked = installed.lesson.cells
    assert [out.text for out in opening.outputs] == ["Start here\n"]
    assert [out.text for out in checked.outputs] == ["✓ the data came along\n"]


def test_what_was_installed_is_a_whole_copy(installed):
    """A wheel, not a link to the clone, with every file of data/ byte for byte."""
    information = next(installed.site.glob("llmrl-*.dist-info"))
    assert "editable" not in json.loads((information / "direct_url.json").read_text()).get("dir_info", {})
    assert not list(installed.site.glob("__editable__*llmrl*"))
    listing = ["git", "ls-tree", "-r", "-z", "--name-only", "HEAD", "data"]
    listed = subprocess.run(listing, cwd=installed.clone, capture_output=True, text=True, check=True)
    names = [name for name in listed.stdout.split("\0") if name]
    assert len(names) > 5
    for name in names:
        assert (installed.site / "llmrl" / name).read_bytes() == (installed.clone / name).read_bytes(), name


def test_the_installed_copy_works_from_any_folder(installed):
    code = "import llmrl; from llmrl.toy import files; print(llmrl.__file__, files.verify(), len(files.names()) > 3)"
    for folder in ("/", installed.root):
        done = installed.run("-c", code, colab=False, cwd=folder)
        assert done.stdout == f"{installed.site / 'llmrl' / '__init__.py'} [] True\n", done.stderr


@pytest.mark.skipif(not (CHECKOUT / "notebooks/00_start_here.ipynb").exists(), reason="not written yet")
def test_the_first_notebook_runs_alone_as_stored(installed):
    path = shutil.copy(CHECKOUT / "notebooks" / "00_start_here.ipynb", installed.folder)
    assert compared(installed.execute(path)) == compared(nbformat.read(path, 4))
