"""Fetching the RP2 release, which is never redistributed with this project, from its authors' repository."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from blurnet_tf.data.rp2_release import FILES, ReleaseFile
from blurnet_tf.fetching import DownloadError, fetch_file
from blurnet_tf.files import atomic_path, sha256

COMMIT = "3810af06bb0c93b4da94f0aa3e066b5f8d0cd8d0"
BASE_URL = f"https://raw.githubusercontent.com/evtimovi/robust_physical_perturbations/{COMMIT}"
"""Raw files of the authors' repository, at one commit: what stands there cannot change."""

_WAY_OUT = "Files that have arrived stay: run `make data` again, or use DATA=synthetic, which needs no download."


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What `fetch` did: paths of files in `folder`; `str(report)` is a sentence about it."""

    folder: Path
    fetched: tuple[str, ...]
    replaced: tuple[str, ...]  # those of `fetched` that took the place of a file with a wrong sum
    present: tuple[str, ...]  # there already, with the right sum

    def __str__(self) -> str:
        replaced = f" ({len(self.replaced)} in place of a damaged file)" if self.replaced else ""
        return (
            f"{self.folder} holds the {len(self.fetched) + len(self.present)} files of the RP2 release: "
            f"{len(self.fetched)} fetched{replaced}, {len(self.present)} already there."
        )


def fetch(
    folder: str | os.PathLike[str],
    *,
    base_url: str = BASE_URL,
    files: Sequence[ReleaseFile] = FILES,
    progress: Callable[[int, int, str], None] | None = None,
    timeout: float = 60.0,
    retries: int = 2,
) -> FetchReport:
    """Make `folder` hold every file of the release, each with its pinned sum.

    A file is checked in a temporary folder beside `folder` and then put into place whole, so that an interrupted fetch
    can be resumed. A file with the right sum is not fetched again; one with a wrong sum stays until the right one has
    arrived. Other files in `folder` are left alone. A redirect to another scheme, such as from https to http, is not
    followed.

    Args:
        folder: The folder of the release, such as ``data/rp2``; made where it is absent.
        base_url: Address under which the `remote` paths lie.
        files: The files to fetch.
        progress: Called after each file, with the number fetched so far, the number to fetch, and the file's path.
        timeout: Seconds to wait for an answer of the server.
        retries: How often a file is asked for again after it failed to come or came with a wrong sum.

    Raises:
        DownloadError: A file could not be fetched, has a wrong sum, or `folder` cannot be written.

    Example:
        >>> print(fetch("data/rp2"))  # doctest: +SKIP
        data/rp2 holds the 46 files of the RP2 release: 46 fetched, 0 already there.
    """
    shown = Path(folder)
    target = shown.resolve()  # behind a link, so that the temporary folder is on the same file system
    with _writing(shown):
        sums = {file.path: sha256(path) if (path := target / file.path).is_file() else None for file in files}
        wanted = [file for file in files if sums[file.path] != file.sha256]
        if wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    if wanted:
        try:
            for done, file in enumerate(wanted, start=1):
                url = f"{base_url.rstrip('/')}/{file.remote}"
                with _writing(shown):
                    arrived = fetch_file(
                        url, temporary, file.path, file.sha256, way_out=_WAY_OUT, timeout=timeout, retries=retries
                    )
                    with atomic_path(target / file.path) as place:
                        shutil.copyfile(arrived, place)  # not renamed: pooch makes files that only their owner may read
                if progress is not None:
                    progress(done, len(wanted), file.path)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    fetched = tuple(file.path for file in wanted)
    return FetchReport(
        folder=shown,
        fetched=fetched,
        replaced=tuple(path for path in fetched if sums[path] is not None),
        present=tuple(path for path in sums if path not in fetched),
    )


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{folder} must be a folder that can be read and written. "
            f"Received: {type(error).__name__}: {error}. {_WAY_OUT}"
        ) from error
