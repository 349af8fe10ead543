"""The versions the course is pinned to, and the versions that are installed.

In the course's folder the pins are those of requirements.txt; an installed copy carries the same in its metadata.
Left out: what the pinned packages need themselves. pip sees to that.
"""

import re
from importlib import metadata

from llmrl.course import places

PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)==([A-Za-z0-9.+!]+)")


def parse(text):
    """{package: version} of the lines of a requirements file; a line that pins nothing exactly is refused."""
    found = {}
    for number, line in enumerate(text.splitlines(), 1):
        line = line.split("#")[0].strip()
        if not line:
            continue
        pin = PIN.fullmatch(line)
        if not pin:
            raise ValueError(f"requirements.txt, line {number} must pin one version as name==version, got {line!r}")
        if canonical(pin[1]) in found:
            raise ValueError(f"requirements.txt, line {number} pins {pin[1]!r} a second time: one line per package")
        found[canonical(pin[1])] = pin[2]
    return found


def canonical(name):
    """One spelling for a package's name: jupyter_client and Jupyter.Client are jupyter-client."""
    return re.sub(r"[-_.]+", "-", name).lower()


def pinned():
    """{package: version} the course asks for."""
    folder = places.folder()
    if folder:
        return parse((folder / "requirements.txt").read_text(encoding="utf-8"))
    return parse("\n".join(metadata.requires("llmrl") or []))


def installed(package):
    """The installed version without its build tag (2.13.0+cpu is 2.13.0), or None."""
    try:
        return metadata.version(package).split("+")[0]
    except metadata.PackageNotFoundError:
        return None


def wrong():
    """(package, pinned, installed or None) of everything that is not as pinned."""
    return [(name, version, installed(name)) for name, version in pinned().items() if installed(name) != version]
