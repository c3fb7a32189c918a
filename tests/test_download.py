"""`fetch` against a loopback server: good, damaged, cut short, missing, silent, absent, elsewhere and interrupted."""

import contextlib
import errno
import hashlib
import http.server
import os
import re
import socket
import stat
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from blurnet_tf.data import rp2_release
from blurnet_tf.data.download import DownloadError, FetchReport, fetch
from blurnet_tf.data.rp2_release import ReleaseFile, damaged_files
from blurnet_tf.fetching import fetch_file

CONTENTS = {"LICENSE": b"license", "masks/a.png": b"mask" * 5000, "victims/1.png": b"one", "victims/2.png": b"two"}
FILES = tuple(
    ReleaseFile(path=path, remote=f"remote/{path}", sha256=hashlib.sha256(data).hexdigest())
    for path, data in CONTENTS.items()
)
NAMES = tuple(CONTENTS)
WAY_OUT = "Files that have arrived stay: run `make data` again, or use DATA=synthetic, which needs no download."


class Server(http.server.ThreadingHTTPServer):
    """Serves `contents`; answers 404 to the rest; ends an answer early by `cut`; keeps silent on `silent`; gives a
    byte now and then on `trickling`, without an end.

    The first answer for a path in `once` is 503; a path in `elsewhere` is sent on to that address.
    """

    def __init__(self, contents: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.contents = contents
        self.cut: set[str] = set()
        self.silent: set[str] = set()
        self.trickling: set[str] = set()
        self.once: set[str] = set()
        self.elsewhere: dict[str, str] = {}
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
        if path in self.server.once:
            self.server.once.remove(path)
            self.send_error(503)
            return
        if path in self.server.elsewhere:
            self.send_response(302)
            self.send_header("Location", self.server.elsewhere[path])
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if path in self.server.trickling:
            self.send_response(200)
            self.end_headers()
            while not self.server.closing.wait(0.05):
                self.wfile.write(b"x")
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


@contextlib.contextmanager
def serving(contents: dict[str, bytes]) -> Iterator[Server]:
    """A server on the loopback device while the block runs."""
    with Server(contents) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.closing.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("no_proxy", "*")
    with serving({file.remote: CONTENTS[file.path] for file in FILES}) as server:
        yield server


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
    report = fetch(folder, base_url=server.url, files=FILES, progress=lambda *call: calls.append(call))
    assert report == FetchReport(folder=folder, fetched=NAMES, replaced=(), present=())
    assert str(report) == f"{folder} holds the 4 files of the RP2 release: 4 fetched, 0 already there."
    assert files_under(folder) == CONTENTS
    assert calls == [(1, 4, NAMES[0]), (2, 4, NAMES[1]), (3, 4, NAMES[2]), (4, 4, NAMES[3])]
    assert capfd.readouterr() == ("", "")
    modes = {stat.S_IMODE((folder / name).stat().st_mode) for name in NAMES}
    (folder / "plain").touch()
    assert modes == {stat.S_IMODE((folder / "plain").stat().st_mode)}  # not for their owner alone


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


def expect_failure(server_url: str, folder: Path, words: str, kept: dict[str, bytes], **options: Any) -> None:
    with pytest.raises(DownloadError, match=words) as caught:
        fetch(folder, base_url=server_url, files=FILES, **({"retries": 0} | options))
    assert str(caught.value).endswith(f". {WAY_OUT}")
    assert files_under(folder) == kept


def of(url: str, path: str, reason: str) -> str:
    return f"^{re.escape(f'{url}/remote/{path}')} cannot be fetched: {reason}"


def test_wrong_bytes(server: Server, folder: Path) -> None:
    server.contents["remote/victims/1.png"] = b"<html>"
    words = of(server.url, "victims/1.png", rf".*{FILES[2].sha256}.*{hashlib.sha256(b'<html>').hexdigest()}")
    expect_failure(server.url, folder, words, kept=first(2))
    (folder / "victims").mkdir(exist_ok=True)
    (folder / "victims/1.png").write_bytes(b"old")  # an older file with a wrong sum outlives a failed fetch
    expect_failure(server.url, folder, words, kept=first(2) | {"victims/1.png": b"old"})


def test_a_short_file(server: Server, folder: Path) -> None:
    server.cut.add("remote/masks/a.png")
    expect_failure(server.url, folder, of(server.url, "masks/a.png", ".*10000"), kept=first(1))


def test_a_missing_file(server: Server, folder: Path) -> None:
    del server.contents["remote/victims/2.png"]
    words = of(server.url, "victims/2.png", "the server answered HTTP 404 Not Found")
    expect_failure(server.url, folder, words, kept=first(3))


def test_a_file_is_asked_for_again(server: Server, folder: Path) -> None:
    server.once.add("remote/masks/a.png")
    assert fetch(folder, base_url=server.url, files=FILES, retries=1).fetched == NAMES
    assert server.requests.count("remote/masks/a.png") == 2
    assert files_under(folder) == CONTENTS


def test_a_silent_server_is_given_up(server: Server, folder: Path) -> None:
    server.silent.add("remote/LICENSE")
    words = of(server.url, "LICENSE", r"no answer in 0\.1 seconds")
    expect_failure(server.url, folder, words, kept={}, timeout=0.1)


def test_a_server_may_send_on_to_its_own_kind_of_address(server: Server, folder: Path) -> None:
    server.contents["moved"] = CONTENTS["LICENSE"]
    server.elsewhere["remote/LICENSE"] = "/moved"
    server.elsewhere["remote/victims/1.png"] = f"{server.url}/one"
    server.contents["one"] = CONTENTS["victims/1.png"]
    assert fetch(folder, base_url=server.url, files=FILES).fetched == NAMES


@pytest.mark.parametrize("scheme", ["https", "ftp", "file"])
def test_another_kind_of_address_is_not_followed(server: Server, folder: Path, tmp_path: Path, scheme: str) -> None:
    (tmp_path / "license").write_bytes(CONTENTS["LICENSE"])
    place = f"{scheme}://{'' if scheme == 'file' else '127.0.0.1:9'}{tmp_path}/license"
    server.elsewhere["remote/LICENSE"] = place
    words = of(server.url, "LICENSE", f"it sends on to {re.escape(place)}, which is not http")
    expect_failure(server.url, folder, words, kept={})


def test_no_server(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.setenv("no_proxy", "*")
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    refused = re.escape(f"[Errno {errno.ECONNREFUSED}] {os.strerror(errno.ECONNREFUSED)}")
    expect_failure(url, folder, of(url, "LICENSE", rf"no connection to .*{refused}"), kept={})


def test_no_address(folder: Path) -> None:
    expect_failure("nowhere", folder, of("nowhere", "LICENSE", ".*nowhere/remote/LICENSE"), kept={})


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
    def half(*_: object, **__: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(urllib3.HTTPResponse, "read1", half)
        with pytest.raises(KeyboardInterrupt):
            fetch(folder, base_url=server.url, files=FILES)
    assert files_under(folder) == {}
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
    def full(*_: object, **__: object) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(urllib3.HTTPResponse, "read1", full)
    words = (
        rf"^{re.escape(str(folder))} must be a folder that can be read and written. Received: .*Errno {errno.ENOSPC}"
    )
    expect_failure(server.url, folder, words, kept={})


def test_a_folder_that_cannot_be_written(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> str:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))

    monkeypatch.setattr(tempfile, "mkdtemp", refuse)  # not by `chmod`: root may write everywhere
    words = rf"^{re.escape(str(folder))} must be a folder that can be read and written. Received: PermissionError"
    expect_failure(server.url, folder, words, kept={})
    assert server.requests == []


def test_the_pinned_table() -> None:
    assert {file.path for file in rp2_release.FILES} == {*rp2_release.REQUIRED_FILES, "LICENSE"}
    assert len({file.sha256 for file in rp2_release.FILES}) == len(rp2_release.FILES) == 46
    assert all(len(file.sha256) == 64 for file in rp2_release.FILES)
    remote = {file.path: file.remote for file in rp2_release.FILES}
    model = "lisa-cnn-attack/optimization_output/l1basedmask_uniformrectangles/model/l1basedmask_uniformrectangles-350"
    assert remote["LICENSE"] == "LICENSE"
    assert remote["npstriplets.txt"] == "lisa-cnn-attack/npstriplets.txt"
    assert remote["masks/octagon.png"] == "lisa-cnn-attack/masks/octagon.png"
    assert remote["victim-set/41.png"] == "lisa-cnn-attack/victim-set/41.png"
    assert remote["checkpoint/l1basedmask_uniformrectangles-350.index"] == f"{model}.index"


@pytest.mark.realdata
def test_the_real_release_has_the_pinned_sums(server: Server, folder: Path, rp2_folder: Path) -> None:
    server.contents = {file.remote: (rp2_folder / file.path).read_bytes() for file in rp2_release.FILES}
    report = fetch(folder, base_url=server.url)
    assert str(report) == f"{folder} holds the 46 files of the RP2 release: 46 fetched, 0 already there."
    assert files_under(folder) == {file.path: (rp2_folder / file.path).read_bytes() for file in rp2_release.FILES}
    assert rp2_release.find([folder.parent]) == folder


def test_a_file_that_is_not_the_authors_is_named(tmp_path: Path) -> None:
    files = tuple(
        ReleaseFile(path=name, remote=name, sha256=hashlib.sha256(name.encode()).hexdigest())
        for name in ("a", "b", "c")
    )
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").write_text("something else")
    assert damaged_files(tmp_path, files) == ("b",)  # c is not there: missing, not damaged


def test_a_download_has_an_end(server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BLURNET_MOST_BYTES", "10000")
    words = of(server.url, "masks/a.png", "it is longer than 10000 bytes").replace(" cannot be fetched: it", "")
    expect_failure(server.url, folder, words, kept=first(1))
    monkeypatch.delenv("BLURNET_MOST_BYTES")
    server.trickling.add("remote/LICENSE")
    with pytest.raises(DownloadError, match=r"takes more than 0\.2 seconds"):
        fetch_file(f"{server.url}/remote/LICENSE", folder, "x", FILES[0].sha256, way_out="Wait.", longest=0.2)
    assert files_under(folder) == first(1)
