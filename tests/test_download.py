"""`fetch` against a loopback server: good, damaged, cut short, missing, silent, absent and interrupted."""

import errno
import hashlib
import http.server
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import keras
import pytest

from blurnet_tf.data import download, rp2_release
from blurnet_tf.data.download import DownloadError, FetchReport, ReleaseFile, damaged_files, fetch

CONTENTS = {"LICENSE": b"license", "masks/a.png": b"mask" * 5000, "victims/1.png": b"one", "victims/2.png": b"two"}
FILES = tuple(
    ReleaseFile(path=path, remote=f"remote/{path}", sha256=hashlib.sha256(data).hexdigest())
    for path, data in CONTENTS.items()
)
NAMES = tuple(CONTENTS)
WAY_OUT = "Files that have arrived are kept: run `make data` again, or use DATA=synthetic, which needs no download."


class Server(http.server.ThreadingHTTPServer):
    """Serves `contents`; answers 404 to the rest; ends an answer early by `cut`; keeps silent on `silent`."""

    def __init__(self, contents: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = contents
        self.cut: set[str] = set()
        self.silent: set[str] = set()
        self.closing = threading.Event()
        self.requests: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        path = self.path.removeprefix("/")
        self.server.requests.append(path)
        if path in self.server.silent:
            self.server.closing.wait()
            return
        if path not in self.server.contents:
            self.send_error(404)
            return
        data = self.server.contents[path]
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if path in self.server.cut else data)

    def log_message(self, *args: object) -> None:
        """Print nothing."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with Server({file.remote: CONTENTS[file.path] for file in FILES}) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "rp2"


def files_under(folder: Path) -> dict[str, bytes]:
    """All that lies in the data root: files as they are, and any folder beside the release's."""
    root = folder.parent
    beside = {path.name: b"" for path in root.iterdir() if path != folder} if root.exists() else {}
    return beside | {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def first(count: int) -> dict[str, bytes]:
    return {name: CONTENTS[name] for name in NAMES[:count]}


def test_all_files_are_fetched_quietly(server: Server, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    calls = []
    interactive, timeout = keras.config.is_interactive_logging_enabled(), socket.getdefaulttimeout()
    report = fetch(folder, base_url=server.url, files=FILES, progress=lambda *call: calls.append(call))
    assert report == FetchReport(folder=folder, fetched=NAMES, replaced=(), present=())
    assert str(report) == f"{folder} holds the 4 files of the RP2 release: 4 fetched, 0 already there."
    assert files_under(folder) == CONTENTS
    assert calls == [(1, 4, NAMES[0]), (2, 4, NAMES[1]), (3, 4, NAMES[2]), (4, 4, NAMES[3])]
    assert capfd.readouterr() == ("", "")
    assert keras.config.is_interactive_logging_enabled() == interactive
    assert socket.getdefaulttimeout() == timeout


def test_a_second_fetch_asks_for_nothing(server: Server, folder: Path) -> None:
    fetch(folder, base_url=server.url, files=FILES)
    server.requests.clear()
    report = fetch(folder, base_url=server.url, files=FILES)
    assert report == FetchReport(folder=folder, fetched=(), replaced=(), present=NAMES)
    assert str(report) == f"{folder} holds the 4 files of the RP2 release: 0 fetched, 4 already there."
    assert server.requests == []
    assert files_under(folder) == CONTENTS


def test_a_damaged_file_is_replaced_and_a_stranger_left_alone(server: Server, folder: Path) -> None:
    fetch(folder, base_url=server.url + "/", files=FILES)
    (folder / "victims/1.png").write_bytes(b"on")
    (folder / "notes.txt").write_bytes(b"mine")
    (folder / "victims/2.png").unlink()
    report = fetch(folder, base_url=server.url, files=FILES)
    assert report.fetched == ("victims/1.png", "victims/2.png")
    assert report.replaced == ("victims/1.png",)
    assert str(report) == (
        f"{folder} holds the 4 files of the RP2 release: 2 fetched (1 in place of a damaged file), 2 already there."
    )
    assert files_under(folder) == CONTENTS | {"notes.txt": b"mine"}


def test_a_file_behind_a_link_is_fetched_there(server: Server, folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    folder.symlink_to(tmp_path / "disk" / "rp2")
    fetch(folder, base_url=server.url, files=FILES)
    assert folder.is_symlink()
    assert files_under(tmp_path / "disk" / "rp2") == CONTENTS


def expect_failure(server_url: str, folder: Path, sentence: str, kept: dict[str, bytes], **options: float) -> None:
    with pytest.raises(DownloadError) as caught:
        fetch(folder, base_url=server_url, files=FILES, **options)
    assert str(caught.value) == f"{sentence} {WAY_OUT}"
    assert files_under(folder) == kept


def test_wrong_bytes(server: Server, folder: Path) -> None:
    server.contents["remote/victims/1.png"] = b"<html>"
    received = hashlib.sha256(b"<html>").hexdigest()
    sentence = (
        f"{server.url}/remote/victims/1.png must have the SHA-256 sum {FILES[2].sha256}. "
        f"Received: {received} (6 bytes, not kept)."
    )
    expect_failure(server.url, folder, sentence, kept=first(2))
    (folder / "victims").mkdir()
    (folder / "victims/1.png").write_bytes(b"old")  # an older file with a wrong sum outlives a failed fetch
    expect_failure(server.url, folder, sentence, kept=first(2) | {"victims/1.png": b"old"})


def test_a_short_file(server: Server, folder: Path) -> None:
    server.cut.add("remote/masks/a.png")
    sentence = (
        f"{server.url}/remote/masks/a.png cannot be fetched: retrieval incomplete: got only 10000 out of 20000 bytes."
    )
    expect_failure(server.url, folder, sentence, kept=first(1))


def test_a_missing_file(server: Server, folder: Path) -> None:
    del server.contents["remote/victims/2.png"]
    sentence = f"{server.url}/remote/victims/2.png cannot be fetched: the server answered HTTP 404 Not Found."
    expect_failure(server.url, folder, sentence, kept=first(3))


def test_a_silent_server_is_given_up(server: Server, folder: Path) -> None:
    server.silent.add("remote/LICENSE")
    sentence = f"{server.url}/remote/LICENSE cannot be fetched: timed out."
    expect_failure(server.url, folder, sentence, kept={}, timeout=0.1)


def test_no_server(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    refused = f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}"
    expect_failure(url, folder, f"{url}/remote/LICENSE cannot be fetched: {refused}.", kept={})


def test_no_address(folder: Path) -> None:
    sentence = "nowhere/remote/LICENSE cannot be fetched: unknown url type: 'nowhere/remote/LICENSE'."
    expect_failure("nowhere", folder, sentence, kept={})


def test_interrupted_between_files_and_resumed(server: Server, folder: Path) -> None:
    def interrupt(done: int, total: int, path: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(folder, base_url=server.url, files=FILES, progress=interrupt)
    assert files_under(folder) == first(2)
    server.requests.clear()
    report = fetch(folder, base_url=server.url, files=FILES)
    assert report == FetchReport(folder=folder, fetched=NAMES[2:], replaced=(), present=NAMES[:2])
    assert server.requests == ["remote/victims/1.png", "remote/victims/2.png"]
    assert files_under(folder) == CONTENTS


def test_interrupted_inside_a_file(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interactive = keras.config.is_interactive_logging_enabled()

    def half(fname: str, origin: str, *, cache_dir: str, **options: object) -> None:
        (Path(cache_dir) / fname).write_bytes(b"ha")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(keras.utils, "get_file", half)
        with pytest.raises(KeyboardInterrupt):
            fetch(folder, base_url=server.url, files=FILES)
    assert files_under(folder) == {}
    assert keras.config.is_interactive_logging_enabled() == interactive
    assert fetch(folder, base_url=server.url, files=FILES).fetched == NAMES


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(b"a file")
    folder = tmp_path / "data" / "rp2"
    with pytest.raises(DownloadError) as caught:
        fetch(folder, base_url=server.url, files=FILES)
    cause = caught.value.__cause__
    assert isinstance(cause, FileExistsError)
    assert str(caught.value) == (
        f"{folder} must be a folder that can be read and written. Received: FileExistsError: {cause}. {WAY_OUT}"
    )
    assert server.requests == []
    assert (tmp_path / "data").read_bytes() == b"a file"


def test_a_full_disk(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(keras.utils, "get_file", full)
    sentence = (
        f"{folder} must be a folder that can be read and written. "
        f"Received: OSError: [Errno {errno.ENOSPC}] {os.strerror(errno.ENOSPC)}."
    )
    expect_failure(server.url, folder, sentence, kept={})


def test_a_folder_that_cannot_be_written(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)  # not by `chmod`: root may write everywhere
    sentence = (
        f"{folder} must be a folder that can be read and written. "
        f"Received: PermissionError: [Errno {errno.EACCES}] {os.strerror(errno.EACCES)}: {str(folder)!r}."
    )
    expect_failure(server.url, folder, sentence, kept={})
    assert server.requests == []


def test_keras_does_not_move_to_tmp(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *args, **options: False)
    fetch(folder, base_url=server.url, files=FILES)
    assert files_under(folder) == CONTENTS


def test_the_pinned_table() -> None:
    assert {file.path for file in download.FILES} == {*rp2_release.REQUIRED_FILES, "LICENSE"}
    assert len({file.sha256 for file in download.FILES}) == len(download.FILES) == 46
    assert all(len(file.sha256) == 64 for file in download.FILES)
    remote = {file.path: file.remote for file in download.FILES}
    model = "lisa-cnn-attack/optimization_output/l1basedmask_uniformrectangles/model/l1basedmask_uniformrectangles-350"
    assert remote["LICENSE"] == "LICENSE"
    assert remote["npstriplets.txt"] == "lisa-cnn-attack/npstriplets.txt"
    assert remote["masks/octagon.png"] == "lisa-cnn-attack/masks/octagon.png"
    assert remote["victim-set/41.png"] == "lisa-cnn-attack/victim-set/41.png"
    assert remote["checkpoint/l1basedmask_uniformrectangles-350.index"] == f"{model}.index"


@pytest.mark.realdata
def test_the_real_release_has_the_pinned_sums(server: Server, folder: Path, rp2_folder: Path) -> None:
    server.contents = {file.remote: (rp2_folder / file.path).read_bytes() for file in download.FILES}
    report = fetch(folder, base_url=server.url)
    assert str(report) == f"{folder} holds the 46 files of the RP2 release: 46 fetched, 0 already there."
    assert files_under(folder) == {file.path: (rp2_folder / file.path).read_bytes() for file in download.FILES}
    assert rp2_release.find([folder.parent]) == folder


def test_a_file_that_is_not_the_authors_is_named(tmp_path: Path) -> None:
    files = tuple(
        ReleaseFile(path=name, remote=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in ("a", "b", "c")
    )
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("something else")
    assert damaged_files(tmp_path, files) == ("b",)  # c is not there: missing, not damaged
