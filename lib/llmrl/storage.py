"""Files are written whole or not at all.

Everything the course saves goes to a temporary file beside its target, is flushed to the disk, and takes the
target's name in one step. A full disk, a read-only folder or a closed laptop leaves the old file as it was.
Left out: locking. Two writers at once are safe, and the last one wins.
"""

import hashlib
import os
import tempfile
from pathlib import Path


def write_whole(path, data):
    """Write text or bytes to path so that a reader sees the old file or the new one, never a part."""
    path = Path(path)
    data = data.encode("utf-8") if isinstance(data, str) else data
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".part", dir=path.parent)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: {path.name} ({len(data):,} bytes) was not written and what was there before is "
            f"untouched. A file is written whole or not at all: free some space or choose a folder you may write to, "
            f"then try again",
            str(path),
        ) from error
    finally:
        if temporary and os.path.exists(temporary):
            os.unlink(temporary)
    return path


def sha256(path):
    """The SHA-256 of a file, as 64 hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
