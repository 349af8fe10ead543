"""Making a Colab machine ready for the course.

The first cell installs the course alone, because its exact pins would replace Colab's own torch, compiled for its GPU,
at the price of minutes and a restart. What is left is little: pinned libraries that are missing or of another version.
What the running kernel is made of stays as it is, and what is already imported cannot be replaced any more.
Left out: every other place; there `make lab` installs everything.
"""

import importlib.util
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

KEPT = {"torch", "numpy", "matplotlib", "pyyaml", "tqdm", "ipykernel", "ipython", "ipywidgets", "jupyter-client"}
TOOLS = {"jupyterlab", "nbformat", "nbclient", "nbconvert", "nbval", "pytest", "pytest-xdist", "hypothesis", "ruff"}


def here():
    """Whether this is a Colab kernel."""
    try:
        return importlib.util.find_spec("google.colab") is not None
    except ModuleNotFoundError:
        return False


def complete():
    """Install the pinned requirements that this machine lacks."""
    present = {_name(found.name): found.version for found in metadata.distributions() if found.name}
    lacking = missing(metadata.requires("llmrl") or [], present, sys.modules)
    if lacking:
        print(f"installing {', '.join(lacking)}: a minute, once per session")
        install(lacking, {name: present[name] for name in sorted(KEPT & present.keys())})


def missing(pins, present, loaded):
    """The pins to install: absent, or of another version and still replaceable.  present: version by name"""
    from packaging.requirements import Requirement

    found = []
    for pin in map(Requirement, pins):
        name = _name(pin.name)
        needed = name not in TOOLS and (pin.marker is None or pin.marker.evaluate({"extra": ""}))
        replaceable = name not in KEPT and name.replace("-", "_") not in loaded
        if needed and (name not in present or (replaceable and not pin.specifier.contains(present[name], True))):
            found.append(f"{pin.name}{pin.specifier}")
    return found


def install(pins, kept):
    """pip install, with the versions in `kept` held fast."""
    with tempfile.TemporaryDirectory() as folder:
        limits = Path(folder) / "constraints.txt"
        limits.write_text("".join(f"{name}=={version}\n" for name, version in kept.items()), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "install", "-q", "-c", str(limits), *pins]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        reason = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise RuntimeError(
            f"pip could not install {', '.join(pins)} beside what this machine has ({' '.join(reason)}): "
            f"restart the session and run this cell again, or install them by hand"
        )
    importlib.invalidate_caches()


def _name(name):
    return name.lower().replace("_", "-").replace(".", "-")
