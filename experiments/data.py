"""Fetch the RP2 release from its authors' repository; or, with --lisa-root, prepare the official download of LISA."""

from __future__ import annotations

import sys
from pathlib import Path

from blurnet_tf.checks import printable
from blurnet_tf.data import lisa
from blurnet_tf.data.download import BASE_URL, fetch
from blurnet_tf.data.lisa_official import prepare
from blurnet_tf.data.rp2_release import FOLDER
from experiments import cli


def main(argv: list[str] | None) -> None:
    """Make what is missing, and say what was left out."""
    parser = cli.parser(__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder to put it in")
    parser.add_argument("--base-url", default=BASE_URL, help="where the files of RP2's repository are")
    parser.add_argument("--lisa-root", type=Path, help="the download of LISA, a folder as unpacked or the zip")
    options = parser.parse_args(argv)
    if options.lisa_root is None:
        print(fetch(options.data_dir / FOLDER, base_url=options.base_url, progress=cli.progress))
        return
    path = options.data_dir / lisa.FOLDER / lisa.FILE
    report, made = prepare(options.lisa_root, path, progress=cli.progress)
    print(printable(str(report), sys.maxsize))
    state = "prepared" if made else "up to date"
    print(f"{path}: {state}; {path.with_suffix('.json').name} names all that was left out")
    try:
        print(printable(str(lisa.make_splits(lisa.read_prepared(path))), sys.maxsize))
    except ValueError as error:  # a part of the download, say: it is prepared all the same
        print(printable(f"note: {error}"), file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
