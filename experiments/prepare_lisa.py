"""Prepare the official download of LISA, a folder or its zip: every annotated sign as an image of 32x32 pixels."""

from __future__ import annotations

import sys
from pathlib import Path

from blurnet_tf.data import lisa
from blurnet_tf.data.lisa_official import prepare
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Prepare it, unless that was done before, and say what was left out."""
    parser = cli.parser(__doc__)
    parser.add_argument("--root", type=Path, required=True, help="the folder as unpacked, or the zip")
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder to put the prepared file in")
    options = parser.parse_args(arguments)

    def progress(done: int, total: int, name: str) -> None:
        if done % 10 == 0 or done == total:
            print(
                f"\r\x1b[K{done}/{total} {name[-100:]}", end="" if done < total else "\n", file=sys.stderr, flush=True
            )

    path = options.data_dir / lisa.FOLDER / lisa.FILE
    report, made = prepare(options.root, path, progress=progress if sys.stderr.isatty() else None)
    print(report)
    print(
        f"{path}: {'prepared' if made else 'up to date'}; {path.with_suffix('.json').name} names all that was left out"
    )
    try:
        print(lisa.load_splits(path))
    except ValueError as error:  # a part of the download, say: it is prepared all the same
        print(f"note: {error}", file=sys.stderr)


if __name__ == "__main__":
    cli.run(main)
