"""Fetch the RP2 release: 40 victims, masks, palette and the LISA-CNN checkpoint, from the authors' repository."""

from __future__ import annotations

import sys
from pathlib import Path

from blurnet_tf.data.download import BASE_URL, fetch
from blurnet_tf.data.rp2_release import FOLDER
from experiments import cli


def main(arguments: list[str] | None) -> None:
    """Fetch what is missing."""
    parser = cli.parser(__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("data"), help="folder to put it in")
    parser.add_argument("--base-url", default=BASE_URL, help="where the repository's files are")
    options = parser.parse_args(arguments)

    def progress(done: int, total: int, path: str) -> None:
        print(f"\r\x1b[K{done}/{total} {path}", end="" if done < total else "\n", file=sys.stderr, flush=True)

    report = fetch(
        options.data_dir / FOLDER, base_url=options.base_url, progress=progress if sys.stderr.isatty() else None
    )
    print(report)


if __name__ == "__main__":
    cli.run(main)
