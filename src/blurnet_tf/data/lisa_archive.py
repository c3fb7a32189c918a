"""The official download of LISA as it lies on the disk: a folder, or a zip that is read in place.

`read` gives the bytes of a file, named relative to the annotations; `stamp` two numbers that change when it changes, or
None for a file that is not there.
"""

from __future__ import annotations

import contextlib
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from blurnet_tf.files import check_file
from blurnet_tf.reading import check_unpacked

ANNOTATIONS = "allAnnotations.csv"
READ_ERRORS = (OSError, EOFError, RuntimeError, ValueError, zipfile.BadZipFile, zlib.error, lzma.LZMAError)
"""What reading a file may raise; RuntimeError means encrypted, or compressed in an unknown way."""


class Folder:
    def __init__(self, root: Path) -> None:
        paths = [*root.glob(ANNOTATIONS), *root.glob(f"*/{ANNOTATIONS}")]
        found = root / _choose(root, [path.relative_to(root).as_posix() for path in paths if path.is_file()])
        self.annotations, self._base = str(found), found.parent

    def read(self, name: str) -> bytes:
        path = (self._base / name).resolve()
        if self._base.resolve() not in path.parents:
            raise ValueError("leads out of the download")
        if path.exists() and not path.is_file():
            raise ValueError("is no file")
        return path.read_bytes()

    def stamp(self, name: str) -> tuple[int, int] | None:
        try:
            status = (self._base / name).stat()
        except OSError:
            return None
        return status.st_size, status.st_mtime_ns


class Zip:
    def __init__(self, root: Path, archive: zipfile.ZipFile) -> None:
        members = {info.filename.replace("\\", "/"): info for info in archive.infolist()}
        names = [name for name in members if name.count("/") < 2 and f"/{name}".endswith(f"/{ANNOTATIONS}")]
        found = _choose(root, names)
        self.annotations, self._base = f"{root}/{found}", found.removesuffix(ANNOTATIONS)
        self._archive, self._members = archive, members

    def read(self, name: str) -> bytes:
        if (info := self._members.get(self._base + name)) is None:
            raise FileNotFoundError(name)
        check_unpacked(Path(info.filename), info.file_size)
        return self._archive.read(info)

    def stamp(self, name: str) -> tuple[int, int] | None:
        info = self._members.get(self._base + name)
        return None if info is None else (info.file_size, info.CRC)


@contextlib.contextmanager
def opened(root: Path) -> Iterator[Folder | Zip]:
    """Open a download; FileNotFoundError or ValueError if there is none that can be read, with one annotation file."""
    if root.is_dir():
        yield Folder(root)
        return
    if not root.exists():
        raise FileNotFoundError(f"{root} is not there: name the folder of the LISA download, or its zip.")
    check_file(root)
    try:
        archive = zipfile.ZipFile(root)
    except READ_ERRORS as error:
        raise ValueError(f"{root} must be a folder or a readable zip archive. Received: {error}") from error
    with archive:
        yield Zip(root, archive)


def _choose(root: Path, found: list[str]) -> str:
    at_the_top = [name for name in found if "/" not in name]
    if not found:
        raise FileNotFoundError(f"{root} has no {ANNOTATIONS}, neither at its top nor in a folder there.")
    if not at_the_top and len(found) > 1:
        raise ValueError(f"{root} must have one {ANNOTATIONS}. Received: {', '.join(sorted(found))}")
    return (at_the_top or found)[0]
