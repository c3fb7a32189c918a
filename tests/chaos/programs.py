"""The programs that `tests.chaos.interrupted` stops: their commands, and what they must have written in the end."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from blurnet_tf.commands.files import save_image
from blurnet_tf.data import synthetic
from blurnet_tf.data.folder import levels
from blurnet_tf.data.sign_art import draw_sign
from blurnet_tf.files import sha256, write_text
from blurnet_tf.models.inspection import check_provenance

FRAMES, SIGNS = 60, ("stop", "yield", "merge")
COLUMNS = (
    "Filename;Annotation tag;Upper left corner X;Upper left corner Y;Lower right corner X;Lower right corner Y;"
    "Occluded,On another road;Origin file;Origin frame number;Origin track;Origin track frame number"
)


@dataclass(frozen=True, kw_only=True)
class Program:
    """A program that writes into a folder.

    Attributes:
        command: Its arguments, for that folder.
        compared: Patterns of what has the same bytes in each run.
        least: Bytes of a disk that is too small for it.
    """

    command: Callable[[Path], list[str]]
    compared: tuple[str, ...]
    least: int = 1 << 14

    def sums(self, folder: Path) -> dict[str, str]:
        """Return the checksums of what it wrote, none before it has ended."""
        if (folder / "baseline" / "saved_model.pb").is_file():
            check_provenance(folder / "baseline")
        found = sorted(path for pattern in self.compared for path in folder.glob(pattern))
        return {str(path.relative_to(folder)): sha256(path) for path in found}


def prepare(root: Path, white_box: Path) -> dict[str, Program]:
    """Write what the programs read, and return them by name. `white_box` are the results of a sweep."""
    victims = synthetic.victim_split()
    for name, image in zip(victims.ids[:8], victims.images[:8], strict=True):
        save_image(root / "images" / f"{name}.png", levels(image))
    lines = [COLUMNS]
    for number in range(FRAMES):
        sign, file = SIGNS[number % len(SIGNS)], f"video/frame{number}.png"
        save_image(root / "official" / file, draw_sign(sign, 200))
        lines.append(f"{file};{sign};10;10;190;190;0,0;video.avi;{number};{sign}_{number}.avi;1")
    write_text(root / "official" / "allAnnotations.csv", "\n".join([*lines, ""]))
    shutil.copytree(white_box, root / "results" / "whitebox", ignore=shutil.ignore_patterns("checkpoints", ".*"))
    trained = str(white_box / "checkpoints")

    def run(module: str, *arguments: str) -> list[str]:
        return [sys.executable, "-m", module, *arguments]

    def report(folder: Path) -> list[str]:
        shutil.copytree(root / "results", folder, dirs_exist_ok=True)
        return run("experiments.report", "--checkpoints", trained, "--results", str(folder))

    attack = ["--model", "baseline", "--images", str(root / "images"), "--label", "stop", "--target", "yield"]
    export = ["--data", "synthetic", "--preset", "smoke", "--variant", "baseline", "--checkpoints", trained]
    return {
        "attack": Program(compared=("out/*.npy", "out/*.csv", "out/adversarial/*"), command=lambda folder: run(
            "blurnet_tf", "attack", *attack, "--steps", "100", "--force", "--out", str(folder / "out"))),
        "data": Program(compared=("lisa/*.npz", "lisa/*.json"), least=1 << 12, command=lambda folder: run(
            "experiments.data", "--lisa-root", str(root / "official"), "--data-dir", str(folder))),
        "export": Program(compared=("baseline/assets/labels.txt",), least=1 << 20, command=lambda folder: run(
            "experiments.export", *export, "--results", str(folder / "none"), "--exports", str(folder))),
        "report": Program(compared=("report.html",), command=report),
    }  # fmt: skip
