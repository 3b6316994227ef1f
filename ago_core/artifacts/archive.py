"""Reads an artifact's files, from a folder or a zip file that may come from anyone. Unpacks nothing, runs nothing.

A zip file is refused as a whole where a name leads out of it, where it holds links or would unpack to too much. Reads
are bounded by what they may need, whatever the file claims about its sizes.
"""

from __future__ import annotations

import hashlib
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Protocol

from ago_core.artifacts.layout import MANIFEST
from ago_core.errors import UserError

MAX_FILES = 1000
MAX_BYTES = 8 << 30
"""Of all files unpacked: a model, its library and its recorded tensors, 2 GiB each at most."""
MAX_TEXT = 64 << 20
"""Bytes of a file that is read as a whole."""
CHUNK = 1 << 20
DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)
"""What reading a damaged zip file raises; the last but one where it is encrypted."""


class Archive(Protocol):
    """An artifact's files.

    Attributes:
        name: for sentences.
        sizes: bytes of each file by its name in the artifact, such as "example/main.cc".
    """

    name: str
    sizes: Mapping[str, int]

    def open(self, name: str) -> IO[bytes]: ...


class _Folder:
    def __init__(self, path: Path):
        self.name, self._path = str(path), path
        found = (file for file in path.rglob("*") if file.is_file() and not file.is_symlink())
        self.sizes = {file.relative_to(path).as_posix(): file.stat().st_size for file in found}

    def open(self, name: str) -> IO[bytes]:
        return (self._path / name).open("rb")


class _Zip:
    def __init__(self, name: str, file: zipfile.ZipFile):
        self.name, self._file = name, file
        entries = [entry for entry in file.infolist() if not entry.is_dir()]
        _refuse_unsafe(name, entries)
        self._root = _root(entry.filename for entry in entries)
        inside = [entry for entry in entries if entry.filename.startswith(self._root)]
        self._entries = {entry.filename.removeprefix(self._root): entry for entry in inside}
        self.sizes = {name: entry.file_size for name, entry in self._entries.items()}

    def open(self, name: str) -> IO[bytes]:
        return self._file.open(self._entries[name])


@contextmanager
def open_archive(path: Path) -> Iterator[Archive]:
    """Opens an artifact's folder or zip file.

    Raises:
        UserError: there is none, it is no zip file or a damaged one, or one that is not safe to open.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    if not path.exists():
        raise UserError(f"There is no artifact {path}.")
    try:
        file = zipfile.ZipFile(path)
    except DAMAGE as error:
        raise UserError(f"{path.name} is no artifact: it is not a zip file, or a damaged one ({error}).") from error
    with file:
        yield _Zip(path.name, file)


def read_text(archive: Archive, name: str) -> str:
    """A file of the artifact as text.

    Raises:
        UserError: there is none of that name, it is too large, damaged, or no text.
    """
    if name not in archive.sizes:
        raise UserError(f"{archive.name} is no artifact of this tool, or a part of one: it has no {name}.")
    try:
        with archive.open(name) as file:
            data = file.read(MAX_TEXT + 1)
        if len(data) > MAX_TEXT:
            raise UserError(f"{archive.name}: {name} is larger than {MAX_TEXT >> 20} MiB, which none of them is.")
        return data.decode()
    except DAMAGE as error:
        raise UserError(f"{archive.name} is damaged: {name} cannot be read ({error}).") from error


def check_files(archive: Archive, expected: Mapping[str, Mapping]) -> None:
    """Compares every file with its size and SHA-256 in the manifest.

    Raises:
        UserError: one is missing, was changed, or cannot be read.
    """
    for name, about in expected.items():
        if archive.sizes.get(name) != about.get("bytes"):
            raise UserError(f"{archive.name} is damaged: {name} is missing, or not as long as when it was exported.")
        if _sha256(archive, name) != about.get("sha256"):
            raise UserError(f"{archive.name} is damaged: {name} is not what was exported.")


def _sha256(archive: Archive, name: str) -> str:
    digest, left = hashlib.sha256(), archive.sizes[name]
    try:
        with archive.open(name) as file:
            while left > 0 and (data := file.read(CHUNK)):
                digest.update(data)
                left -= len(data)
    except DAMAGE as error:
        raise UserError(f"{archive.name} is damaged: {name} cannot be read ({error}).") from error
    return digest.hexdigest()


def _refuse_unsafe(name: str, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MAX_FILES:
        raise UserError(f"{name} is no artifact: it holds {len(entries):,} files.")
    total = sum(entry.file_size for entry in entries)
    if total > MAX_BYTES:
        raise UserError(f"{name} is refused: it would unpack to {total / 2**30:,.1f} GiB, over {MAX_BYTES >> 30} GiB.")
    seen = set()
    for entry in entries:
        inner = entry.filename
        parts = PurePosixPath(inner).parts
        if inner.startswith("/") or ".." in parts or "\\" in inner or ":" in inner or not inner.isprintable():
            raise UserError(f"{name} is refused: the name {inner[:80]!r} in it leads out of its folder.")
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise UserError(f"{name} is refused: {inner[:80]} in it is a link.")
        if inner in seen:
            raise UserError(f"{name} is refused: it holds {inner[:80]} twice.")
        seen.add(inner)


def _root(names: Iterator[str]) -> str:
    """The folder in the zip file that holds the manifest, with its slash; "" where there is none."""
    found = [name for name in names if PurePosixPath(name).name == MANIFEST and name.count("/") <= 1]
    return found[0].removesuffix(MANIFEST) if len(found) == 1 else ""
