"""What is wrong with this installation, and what to do about it.

Every finding says what was looked at, what was found, and, when that is a problem, the way out. The doctor needs
nothing but Python itself: it has to speak when everything else is missing.
Left out: repairing. The doctor changes nothing.
"""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from llmrl import seeds
from llmrl.course import pins, places

PYTHON, MEMORY, DISK = (3, 11), 4, 1
SETUP = "run `make setup`, or `python -m pip install -r requirements.txt` in the course's folder"


@dataclass(frozen=True)
class Finding:
    """One thing the doctor looked at; a way out makes it a problem."""

    what: str
    found: str
    way_out: str = ""

    def __str__(self):
        mark = "✗" if self.way_out else "✓"
        return f"{mark} {self.what:<12} {self.found}" + (f"\n  {'':<12} → {self.way_out}" if self.way_out else "")


def examine():
    """Every finding, one after the other; an examination that itself fails is a finding too."""
    for look in (python, packages, kernel, course, device, memory, disk, settings, data, own_folder):
        try:
            yield from look()
        except Exception as error:
            yield Finding(look.__name__, f"could not be examined: {type(error).__name__}: {error}", SETUP)


def python():
    """The Python that runs, and the oldest the course works with."""
    found = f"{platform.python_version()} at {sys.executable}"
    wanted = ".".join(map(str, PYTHON))
    way_out = f"install Python {wanted} or newer, then `make setup PYTHON=python{wanted}`"
    yield Finding("Python", found, way_out if sys.version_info < PYTHON else "")


def packages():
    """Installed versions against the pinned ones."""
    wrong = pins.wrong()
    if not wrong:
        yield Finding("packages", f"all {len(pins.pinned())} as pinned")
    for name, wanted, found in wrong:
        yield Finding("package", f"{name} {found or 'is missing'}, pinned to {wanted}", SETUP)


def kernel():
    """The kernel that JupyterLab offers as Python 3."""
    from jupyter_client.kernelspec import KernelSpecManager

    command = KernelSpecManager().get_kernel_spec("python3").argv[0]
    here = Path(sys.executable).parent.resolve()
    if Path(command).is_absolute() and Path(command).parent.resolve() != here:
        way_out = "open the course with `make lab`, or run `python -m ipykernel install --sys-prefix` with this Python"
        yield Finding("kernel", f"Python 3 in JupyterLab is {command}", way_out)
    else:
        yield Finding("kernel", "Python 3 in JupyterLab is this Python")


def course():
    """Whether the course's folder is at hand or only the library."""
    folder = places.folder()
    if folder:
        yield Finding("course", f"{len(places.notebooks())} notebooks in {folder}")
    else:
        yield Finding("course", f"installed copy without notebooks, in {places.PACKAGE}")


def device():
    """Where the lessons compute."""
    import torch

    if torch.cuda.is_available():
        found = f"cuda, {torch.cuda.get_device_name(0)}"
    else:
        found = f"cpu, {os.cpu_count()} cores, {seeds.threads()} in use (LLMRL_THREADS); no GPU needed"
    yield Finding("device", found)


def memory():
    """Memory of the machine, where the system tells."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    way_out = f"use a machine with {MEMORY} GiB, or one notebook at a time" if size < MEMORY else ""
    yield Finding("memory", f"{size:.1f} GiB", way_out)


def disk():
    """Room where the course and the reader's progress are kept."""
    for what, place in {"course": places.folder() or places.PACKAGE, "home": Path.home()}.items():
        free = shutil.disk_usage(place).free / 2**30
        way_out = f"free some space: lessons save small files, {DISK} GiB is plenty" if free < DISK else ""
        yield Finding("disk", f"{free:.1f} GiB free ({what})", way_out)


def settings():
    """The environment variables that steer the course."""
    from llmrl.course.seconds import limit

    for read in (seeds.base_seed, seeds.threads, limit):
        try:
            read()
        except ValueError as error:
            yield Finding("settings", str(error).split(":")[0], str(error).partition(": ")[2])
    chosen = [f"{key}={value}" for key, value in sorted(os.environ.items()) if key.startswith("LLMRL_")]
    yield Finding("settings", ", ".join(chosen) or "seed 0, one thread (nothing set)")


def data():
    """Shipped files against their checksums; a pointer in a file's place is said for what it is."""
    from llmrl.toy import files

    problems = files.verify()
    for problem in problems:
        found, _, way_out = problem.partition(". ")
        yield Finding("data", found, way_out or "restore it with `git checkout -- data`, or reinstall the course")
    if not problems:
        yield Finding("data", f"{len(files.names())} files as shipped (plain files: git-lfs is not needed)")


def own_folder():
    """Whether generated things can be written beside the course."""
    folder = places.folder()
    if folder and not os.access(folder, os.W_OK):
        yield Finding("folder", f"{folder} is read-only", "copy the course to a folder you may write to")


def report():
    """Print every finding; True when nothing is wrong."""
    findings = []
    for finding in examine():
        findings.append(finding)
        print(finding, flush=True)
    problems = sum(bool(finding.way_out) for finding in findings)
    print(f"\n{problems} to repair; the arrows say how" if problems else "\nall is well")
    return not problems
