"""Fetching the RP2 release from its authors' repository: what `make data` runs.

The release is under the MIT license. It is fetched, each file checked against the sum pinned here, and never
redistributed with this project.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import ssl
import tempfile
import urllib.error
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras

from blurnet_tf.data import rp2_release
from blurnet_tf.files import sha256

COMMIT = "3810af06bb0c93b4da94f0aa3e066b5f8d0cd8d0"
BASE_URL = f"https://raw.githubusercontent.com/evtimovi/robust_physical_perturbations/{COMMIT}"
"""Raw files of the authors' repository, at one commit: what stands there cannot change."""

_LICENSE = "LICENSE"
_REMOTE_FOLDERS: Mapping[str, str] = {
    "": "lisa-cnn-attack",
    "checkpoint": "lisa-cnn-attack/optimization_output/l1basedmask_uniformrectangles/model",
    "masks": "lisa-cnn-attack/masks",
    "victim-set": "lisa-cnn-attack/victim-set",
}

_SHA256: Mapping[str, str] = {
    _LICENSE: "1b899ad2305d367191a57300739c822ae5a698f462dd04b77e7a507e383f9a4f",
    rp2_release.PALETTE: "c121ee49193df6e610890dea26cc6bc810e1012e19f3c4ee97f48b10b83aab2f",
    rp2_release.STICKER_MASK: "01348fb227664197d8668152eabc759f80e51660c5a4b1ec8d0ff4bbe7f9f43c",
    rp2_release.OCTAGON_MASK: "8e3099ea416bbbac2ab7efa57bb28ab4f6c410351cc1b06e3d65b4a3ffe260f5",
    rp2_release.CHECKPOINT_FILES[0]: "7aa97c63ba4bffa2078333ce472bbdbe14c5b84c6ebae30c54382d425db46eec",
    rp2_release.CHECKPOINT_FILES[1]: "5fcecc6c76bc84601ddec2fca84652f26e76de107ea6095ff0d2a685b913ab81",
    "victim-set/1.png": "e661ccdb9e26bea32eff2a4dadf24e4ba088fe5bbdca2f2e9fcabd759ef9d493",
    "victim-set/2.png": "9054c77f2e979031c614561bfe0cbde48ccae14e20bd47e53baf5b97de598fcd",
    "victim-set/3.png": "af5ee6ce3acd5e30b529cdb9b49e30fe0df74a3f7754f039fcf2f262a4a9f924",
    "victim-set/4.png": "e8039c8539af1efadf7dd069c814fc76b871411a1336d6d61d61f00b363558c8",
    "victim-set/5.png": "8d544318c853eb4a7fbe79bef5b74776fdbc69c6e09529701b20c1599bda41b6",
    "victim-set/6.png": "f51ce545229233b13dcb05072f0498f90965950ca40c5d0e95c9e145ceb4ed31",
    "victim-set/7.png": "85e880bdb60e43ab23810d7a05b5d2dc9fa405fe14dff3acc226a7a413e71b67",
    "victim-set/8.png": "6983d4dd9c09c37fe8a35efaf0291611b1c0fd2dba3ff6f049b546425809a24d",
    "victim-set/9.png": "ce45b4103bfe73a8e52bc8a0878032477d03c427728eb73f7dd65d55dca92440",
    "victim-set/10.png": "affbebe1ca7f23a451457d1108b1206bc70b4243e48d31ab910651c367dd81e4",
    "victim-set/11.png": "b12402dfa2dd432de141f59dd6cf832959ca04d0c0378c4ad6fd28930cd193ce",
    "victim-set/12.png": "51ede56e6e6fc90e4970b7b05ea8c26167d58e476feef5cc8190f7ae81655533",
    "victim-set/13.png": "80ea1241080db548f18503d97e6c823951e3817759223818342f9febd3836c58",
    "victim-set/15.png": "192660b337ff66f9f8b62dc9060a7865ec4f8a809c623f5f7386158f9a045344",
    "victim-set/16.png": "0b3960cb4c7148e0f8cdcb594a0ffb225900b60a20d979fc7eb1d73cd57cbd20",
    "victim-set/17.png": "24f2c6f265d186e59f8afbad7de9a79563c4261bb5e63f9e0c3c93accc42f654",
    "victim-set/18.png": "f0b84816779922410cb85db19b368ce00bec38104942144fc6cdbcc41e989ecf",
    "victim-set/19.png": "24656fbd2059f0c56527f905d574032237be37b09280d2f863994bc701586677",
    "victim-set/20.png": "92edad10bd28f631856ecec0dc5b0742239287ba1123eab4beda0d2f9603860c",
    "victim-set/21.png": "d9323c972e4367ff456275d8fce29906a01cfe99d76410cd9c1b12178df9b3a0",
    "victim-set/22.png": "ca5ae3a85c3533bce9e88cdef32729f3d00996fc44a8a323f8f7f67e6a00c845",
    "victim-set/23.png": "af0b76babd5f4cd4aefe0dbdb2b05c6bd16605358c9f8f2602831416899709be",
    "victim-set/24.png": "ef3b5bf57611951ce44ef661fed9ed5ea13b4c4481dcdda19c7cd21cf36e4ed1",
    "victim-set/25.png": "597d5f6200e71955b86ef4b8ef038e6209ab7e28f8d78e6719748cb2dfdad572",
    "victim-set/26.png": "115212861552df81a9d20a411f9bea022952e970df04453591eb999cffbcd371",
    "victim-set/27.png": "855bec3dd6b299693cac5dd0c2de5a49c5f1df9b2b24751f4e376f728bf140c1",
    "victim-set/28.png": "1bc6dcda7c1b8a41cb19f2f92acabdf33e1fcd07f21216bf612ecd01b9db08e6",
    "victim-set/29.png": "68ebf618fa4359575a6b3e4776780e47739652bd3ebe339a931f62010df40f80",
    "victim-set/30.png": "f15a3478e44fa259a55e335cfbbfeff1c3b2ac7dfc663e2462a575dca8946cc5",
    "victim-set/31.png": "2f1bf26ceb9f2320f0a8c62388caa2d7c5fc1b087f7b9df36169e5282b03d1ab",
    "victim-set/32.png": "5fc896012b3aa43d23ea1ed5ae47fa6bdefff6a9aee5d79ccffc37df25583d37",
    "victim-set/33.png": "398d4ea5e8047e6377ded05c7c39c2fc8bf2f18b56421819f96c121dc20f343d",
    "victim-set/34.png": "245c84b570203eb71f4ea187386baeaa1bf259ba5ed303c26440b8cf83c7ba9f",
    "victim-set/35.png": "cd887067f20c9d36e37f774e1ea100d6c5f5bb324c5b37219bc5dfe5e8651c7f",
    "victim-set/36.png": "c04f3b26cf4a998f12afccfad80f22e68535a76dd8e120c467d43ba3258dc16c",
    "victim-set/37.png": "855e3c377747a2c79a72741bc7f8c47fd57326ad013e195afc96c27c37b163af",
    "victim-set/38.png": "959312f96eaec11298085a30dd1fb2c5eda61e98c7cbbfb6051ae5c400edae43",
    "victim-set/39.png": "5dc72f88bb2cd10e7a8c9bc08987842f0b49641bde1e10ebcab597241785e4bd",
    "victim-set/40.png": "3c50a02563bc4ce69dd6dc377777d5ff4289028a93b20b728660da9b84a93b4e",
    "victim-set/41.png": "96d6f71f213f51a75192b8602aee68093af6a1e42844118fd05c199265691d56",
}

_WAY_OUT = "Files that have arrived are kept: run `make data` again, or use DATA=synthetic, which needs no download."


class DownloadError(RuntimeError):
    """The release could not be fetched. The message says what was expected, what came, and the way out."""


@dataclass(frozen=True)
class ReleaseFile:
    """One file of a release.

    Attributes:
        path: Where it lies in the local folder, with forward slashes.
        remote: Where it lies under the base address.
        sha256: Its sum, 64 hexadecimal digits.
    """

    path: str
    remote: str
    sha256: str


def _remote(path: str) -> str:
    if path == _LICENSE:  # the only file that lies at the top of the repository
        return path
    folder, _, name = path.rpartition("/")
    return f"{_REMOTE_FOLDERS[folder]}/{name}"


FILES: tuple[ReleaseFile, ...] = tuple(
    ReleaseFile(path=path, remote=_remote(path), sha256=digest) for path, digest in _SHA256.items()
)
"""All that `blurnet_tf.data.rp2_release` reads, and the license of it."""


@dataclass(frozen=True, kw_only=True)
class FetchReport:
    """What `fetch` did; `str(report)` is a sentence about it.

    Attributes:
        folder: The folder that now holds all the files.
        fetched: Paths of the files that were fetched.
        replaced: Those of `fetched` that took the place of a file with a wrong sum.
        present: Paths of the files that were there already, with the right sum.
    """

    folder: Path
    fetched: tuple[str, ...]
    replaced: tuple[str, ...]
    present: tuple[str, ...]

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
) -> FetchReport:
    """Make `folder` hold every file of the release, each with its pinned sum.

    A file is fetched into a temporary folder beside `folder`, checked, and then renamed into place, so `folder` never
    holds a part of a file, and a fetch that was interrupted goes on where it stopped. A file that is there with the
    right sum is not fetched again. One with a wrong sum stays untouched until the right one has arrived: an error never
    leaves less than there was. Other files in `folder` are left alone.

    Args:
        folder: The folder of the release, such as ``data/rp2``; made where it is absent.
        base_url: Address under which the `remote` paths lie.
        files: The files to fetch.
        progress: Called after each file that was fetched, with the number fetched so far, the number to fetch, and the
            file's path. Nothing is printed here.
        timeout: Seconds without an answer after which the server is given up.

    Raises:
        DownloadError: A file could not be fetched, has a wrong sum, or `folder` cannot be written.

    Example:
        >>> print(fetch("data/rp2"))  # doctest: +SKIP
        data/rp2 holds the 46 files of the RP2 release: 46 fetched, 0 already there.
    """
    shown = Path(folder)
    target = shown.resolve()  # behind a link, so that the temporary folder is on the same file system
    with _writing(shown):
        sums = {file.path: _sum(target / file.path) for file in files}
        wanted = [file for file in files if sums[file.path] != file.sha256]
        if wanted:
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    if wanted:
        try:
            for done, file in enumerate(wanted, start=1):
                with _writing(shown), _quiet(timeout):
                    arrived = _download(file, f"{base_url.rstrip('/')}/{file.remote}", temporary)
                    place = target / file.path
                    place.parent.mkdir(parents=True, exist_ok=True)
                    arrived.replace(place)
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


def damaged_files(folder: str | os.PathLike[str], files: Sequence[ReleaseFile] = FILES) -> tuple[str, ...]:
    """Return the paths of the files of a release that are there but do not have their pinned sum."""
    return tuple(file.path for file in files if _sum(Path(folder) / file.path) not in (None, file.sha256))


def _sum(path: Path) -> str | None:
    return sha256(path) if path.is_file() else None


def _download(file: ReleaseFile, url: str, temporary: Path) -> Path:
    """Fetch and check one file with Keras, and turn whatever it raises into one sentence."""
    arrived = temporary / Path(file.path).name
    try:
        # An absolute `cache_subdir`, because Keras moves to /tmp when it takes `cache_dir` for not writable.
        keras.utils.get_file(
            arrived.name,
            url,
            file_hash=file.sha256,
            hash_algorithm="sha256",
            cache_dir=str(temporary),
            cache_subdir=str(temporary),
        )
    except Exception as error:  # Keras raises a bare `Exception` for a failed transfer, with the cause as its context
        if arrived.exists():  # Keras removes what a failed transfer left, but not a file with a wrong sum
            raise DownloadError(
                f"{url} must have the SHA-256 sum {file.sha256}. Received: {sha256(arrived)} "
                f"({arrived.stat().st_size} bytes, not kept). {_WAY_OUT}"
            ) from error
        cause = error.__context__ if isinstance(error.__context__, urllib.error.URLError) else error
        if isinstance(cause, urllib.error.HTTPError):
            cause.close()
            reason = f"the server answered HTTP {cause.code} {cause.reason}".rstrip()
        elif isinstance(cause, urllib.error.URLError):
            reason = str(cause.reason)
        elif isinstance(cause, OSError) and not isinstance(cause, (ConnectionError, TimeoutError, ssl.SSLError)):
            raise  # the disk, not the network
        elif isinstance(cause, (OSError, http.client.HTTPException, ValueError)):
            reason = str(cause)
        else:
            raise
        raise DownloadError(f"{url} cannot be fetched: {reason}. {_WAY_OUT}") from error
    return arrived


@contextlib.contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DownloadError(
            f"{folder} must be a folder that can be read and written. "
            f"Received: {type(error).__name__}: {error}. {_WAY_OUT}"
        ) from error


@contextlib.contextmanager
def _quiet(timeout: float) -> Iterator[None]:
    """Keep Keras from printing a line and a bar for each file, and from waiting forever; it has no argument for it."""
    interactive, default_timeout = keras.config.is_interactive_logging_enabled(), socket.getdefaulttimeout()
    keras.config.disable_interactive_logging()
    socket.setdefaulttimeout(timeout)
    try:
        yield
    finally:
        socket.setdefaulttimeout(default_timeout)
        if interactive:
            keras.config.enable_interactive_logging()
