"""Fetching one file with a pinned SHA-256 sum, and one sentence for what may go wrong on the way."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from blurnet_tf.reading import most


class DownloadError(RuntimeError):
    """A file could not be fetched; the message says why, and the way out."""


def fetch_file(
    url: str, folder: Path, name: str, sha256: str, *, way_out: str, timeout: float = 60.0,
    longest: float = 3600.0, retries: int = 2,
) -> Path:  # fmt: skip
    """Fetch a file into a folder, checked, and return its path. One with the right sum is not fetched again.

    A redirect to another scheme, such as from https to http, is not followed.

    Args:
        url: Of the file.
        folder: Where it goes.
        name: What it is called there; may have folders before it.
        sha256: Its sum.
        way_out: The last sentence of an error.
        timeout: Seconds to wait for an answer of the server.
        longest: Seconds that the whole file may take, all tries together. It may have as many bytes as
            `BLURNET_MOST_BYTES` says.
        retries: How often it is asked for again after it failed to come or came with a wrong sum.

    Raises:
        DownloadError: It did not come, or with another sum.
    """
    import pooch  # here, like requests, so that what fetches nothing never loads them
    import requests

    def stay(response: Any, *_: Any, **__: Any) -> None:
        if response.is_redirect and urlsplit(to := urljoin(url, response.headers["location"])).scheme != scheme:
            raise requests.exceptions.InvalidSchema(f"it sends on to {to}, which is not {scheme}")

    def download(address: str, output: str, _: Any) -> None:
        size = 0
        with (
            requests.get(address, stream=True, timeout=timeout, hooks={"response": stay}) as response,
            Path(output).open("wb") as file,
        ):
            response.raise_for_status()
            while chunk := _arrived(response):
                size += len(chunk)
                if size > limit or time.monotonic() > end:
                    reason = f"is longer than {limit} bytes" if size > limit else f"takes more than {longest:g} seconds"
                    raise DownloadError(f"{url} {reason}. {way_out}")  # another try would be no better
                file.write(chunk)

    end = time.monotonic() + longest
    limit, scheme = most("BLURNET_MOST_BYTES"), urlsplit(url).scheme
    pooch.get_logger().setLevel("WARNING")  # it tells of each file on the terminal
    files = pooch.create(folder, "", registry={name: sha256}, urls={name: url})
    files.retry_if_failed = retries
    try:
        return Path(files.fetch(name, downloader=download))
    except requests.HTTPError as error:
        reason = f"the server answered HTTP {error.response.status_code} {error.response.reason}".rstrip()
    except requests.Timeout:
        reason = f"no answer in {timeout:g} seconds"
    except requests.ConnectionError as error:
        cause: BaseException = error
        while cause.__context__ is not None:  # requests and urllib3 wrap the first error in several of theirs
            cause = cause.__context__
        reason = f"no connection to {urlsplit(url).netloc} ({cause})"
    except (requests.RequestException, ValueError) as error:  # ValueError: pooch on a wrong sum, which it names
        reason = str(error).rstrip(".")
    raise DownloadError(f"{url} cannot be fetched: {reason}. {way_out}")


def _arrived(response: Any) -> bytes:
    """Return what has arrived since, at most 64 KiB; not later, as `iter_content` would: the clock is looked at."""
    import requests
    import urllib3

    try:
        found: bytes = response.raw.read1(1 << 16, decode_content=True)
    except urllib3.exceptions.HTTPError as error:
        raise requests.ConnectionError(error) from error
    return found
