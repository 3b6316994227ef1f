"""Uploaded files: each in a folder of its own that goes when nothing refers to it any more, at the latest at exit."""

from __future__ import annotations

import hashlib
import tempfile
import weakref
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath, PureWindowsPath

MAX_NAME = 100


@dataclass(frozen=True)
class Upload:
    """A file that a session sent.

    Attributes:
        path: where it lies.
        sha256: of its content, hexadecimal.
    """

    path: Path
    sha256: str
    _folder: tempfile.TemporaryDirectory = field(repr=False, compare=False)

    @property
    def name(self) -> str:
        return self.path.name


_held: weakref.WeakSet[Upload] = weakref.WeakSet()


def store(name: str, content: bytes | memoryview) -> Upload:
    """Writes an upload. The folder is deleted when the `Upload` is no longer referred to."""
    folder = tempfile.TemporaryDirectory(prefix="ago-upload-", ignore_cleanup_errors=True)
    path = Path(folder.name) / _plain_name(name)
    path.write_bytes(content)
    upload = Upload(path, hashlib.sha256(content).hexdigest(), folder)
    _held.add(upload)
    return upload


def find(digits: str) -> Upload | None:
    """An upload that some session still holds, by the first digits of its SHA-256."""
    return next((upload for upload in list(_held) if upload.sha256.startswith(digits)), None)


def _plain_name(name: str) -> str:
    """The file's own name: no folder of any system, nothing unprintable."""
    last = PurePosixPath(PureWindowsPath(name).name).name
    plain = "".join(c for c in last if c.isprintable()).strip(". ")
    return plain[-MAX_NAME:] or "model.onnx"
